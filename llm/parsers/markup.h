// llm/parsers/markup.h
//
// HTML and XML as a sequence of tags and texts. Nothing is refused: what is no tag is text.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace thalweg::llm {

struct Tag {
  std::string name;         // in lower case for HTML, without a prefix (`w:`) for XML
  std::string_view inside;  // name and attributes, as written
  bool closing = false;
  bool empty = false;  // `<br/>`
};

struct MarkupReader {
  bool html = false;  // else XML
  std::function<void(const Tag&)> on_tag;
  std::function<void(std::string_view raw)> on_text;  // entities not resolved

  void read(std::string_view text) const;
};

// The value of an attribute, entities resolved; empty if there is none.
[[nodiscard]] std::string attribute_of(const Tag& tag, std::string_view name);
void append_resolved(std::string_view raw, std::string& out);

}  // namespace thalweg::llm
