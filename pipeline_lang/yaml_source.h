// pipeline_lang/yaml_source.h
//
// Where things stand in YAML text: the events of the parser say where a value begins, not where it ends nor how it
// was written. Positions are byte offsets into the text without a byte order mark.
#pragma once

#include <cstdint>
#include <string_view>

namespace thalweg::yaml {

// `!tag` and `&anchor` in front of a value, with the blanks, comments and line ends between.
struct Properties {
  std::uint32_t tag_begin = 0, tag_end = 0;  // equal: no tag
  std::uint32_t value_begin = 0;
};
[[nodiscard]] Properties skip_properties(std::string_view source, std::uint32_t at);

struct ScalarPlace {
  std::uint32_t end = 0;         // behind the last byte, closing quote included
  std::uint32_t text_begin = 0;  // first byte of the text
  bool quoted = false;           // quotes or block style
  bool verbatim = false;         // the text is the bytes from text_begin on
  bool unterminated = false;
};
// `value` is the decoded text; `quoted_hint`: the parser says that it is not plain.
[[nodiscard]] ScalarPlace find_scalar(std::string_view source, std::uint32_t begin, std::string_view value,
                                      bool quoted_hint);

// `~`, `null`, `Null`, `NULL` if one stands at `at` as a value, else nothing.
[[nodiscard]] std::string_view null_word(std::string_view source, std::uint32_t at);
// Behind the bracket that closes a flow collection whose last item ends at `at`.
[[nodiscard]] std::uint32_t flow_end(std::string_view source, std::uint32_t at);
// Bytes of the code point at `at`; 0 if it is not valid UTF-8.
[[nodiscard]] std::size_t utf8_length(std::string_view text, std::size_t at);

}  // namespace thalweg::yaml
