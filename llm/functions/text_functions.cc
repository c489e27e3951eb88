#include "llm/functions/text_functions.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "connectors/setting_reader.h"
#include "engine/expr/unicode.h"
#include "llm/functions/value_function.h"
#include "llm/functions/wrong.h"
#include "llm/parsers/parsers.h"
#include "llm/text/bpe.h"
#include "llm/text/splitters.h"

namespace thalweg::llm {

namespace {

using Args = std::span<const Value>;

Value chunk(std::string text, const Value& metadata) { return Value::tuple({Value::str(std::move(text)), metadata}); }

Value no_metadata() { return Value::json("{}"); }

Result<const std::string*> text_argument(Args args) {
  if (args.empty() || args[0].is_none()) return fail(Code::kBadData, "there is no text to split");
  if (args[0].tag() != Value::Tag::kStr && args[0].tag() != Value::Tag::kBytes)
    return fail(Code::kBadData, "a text is split, not " + args[0].to_text());
  return &args[0].as_text();
}

// Where a chunk was in its text goes into its metadata.
Value of_piece(const std::string& text, Piece piece) {
  return chunk(text.substr(piece.begin, piece.end - piece.begin), no_metadata());
}

Result<Value> pieces(Args args, const std::function<std::vector<Piece>(std::string_view)>& split) {
  const std::string& text = *TRY(text_argument(args));
  std::vector<Value> out;
  for (const Piece piece : split(text)) out.push_back(of_piece(text, piece));
  return Value::tuple(std::move(out));
}

// As the peer's: `max_tokens` tokens, cut behind the last end of a sentence if that leaves enough.
Result<Value> by_token_count(Args args, const Bpe& bpe, std::size_t min_tokens, std::size_t max_tokens) {
  constexpr std::int64_t kCharsPerToken = 3;
  const std::string text = compatible_form(*TRY(text_argument(args)));
  std::vector<Value> out;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::vector<std::size_t> ends = bpe.ends(rest, max_tokens);
    std::size_t end = ends.back();
    while (end < rest.size() && end > 0 && (static_cast<unsigned char>(rest[end]) & 0xC0) == 0x80) --end;
    if (end == 0) end = ends.back();
    const std::size_t stop = rest.substr(0, end).find_last_of(".?!\n");
    if (stop != std::string_view::npos &&
        expr::count_code_points(rest.substr(0, stop)) > kCharsPerToken * static_cast<std::int64_t>(min_tokens))
      end = stop + 1;
    out.push_back(chunk(std::string(rest.substr(0, end)), no_metadata()));
    rest.remove_prefix(end);
  }
  return Value::tuple(std::move(out));
}

// Which tokens count: `encoding_name`, `model_name` or, without either, characters where that is allowed.
std::expected<Measure, plan::FunctionError> measure_of(const SettingReader& options, bool characters_allowed) {
  std::string encoding = options.text("encoding_name");
  if (encoding.empty() && options.has("model_name")) encoding = Bpe::encoding_of_model(options.text("model_name"));
  if (encoding.empty() && options.has("hf_tokenizer"))
    return wrong("`hf_tokenizer` is not built into this version", "hf_tokenizer",
                 "`encoding_name: cl100k_base` counts much the same");
  if (encoding.empty() && characters_allowed)
    return Measure([](std::string_view text) { return static_cast<std::size_t>(expr::count_code_points(text)); });
  if (encoding.empty()) encoding = "cl100k_base";
  auto bpe = Bpe::find(encoding);
  if (!bpe)
    return wrong(fmt::format("no encoding is called `{}`; there are `cl100k_base` and `o200k_base`", encoding),
                 "encoding_name");
  return Measure([bpe = std::move(bpe)](std::string_view text) { return bpe->count(text); });
}

std::expected<std::size_t, plan::FunctionError> size_option(const SettingReader& options, const char* name,
                                                            std::int64_t fallback, std::int64_t min) {
  const std::int64_t size = options.integer(name, fallback);
  if (size < min || size > 1'000'000'000) return wrong(fmt::format("`{}` is at least {}", name, min), name);
  return static_cast<std::size_t>(size);
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_token_count(const plan::FunctionSpec& spec,
                                                                           std::string text) {
  const SettingReader options(spec.options);
  const auto max_tokens = TRY_OPTION(size_option(options, "max_tokens", 500, 1));
  // Who asks for small chunks alone means no least size.
  const std::int64_t least = std::min<std::int64_t>(50, static_cast<std::int64_t>(max_tokens));
  const auto min_tokens = TRY_OPTION(size_option(options, "min_tokens", least, 0));
  if (min_tokens > max_tokens) return wrong("`min_tokens` is not above `max_tokens`", "min_tokens");
  const std::string encoding = options.text("encoding_name", "cl100k_base");
  auto bpe = Bpe::find(encoding);
  if (!bpe)
    return wrong(fmt::format("no encoding is called `{}`; there are `cl100k_base` and `o200k_base`", encoding),
                 "encoding_name");
  return value_function(std::move(text), [bpe, min_tokens, max_tokens](Args args) {
    return by_token_count(args, *bpe, min_tokens, max_tokens);
  });
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_recursive(const plan::FunctionSpec& spec,
                                                                         std::string text) {
  const SettingReader options(spec.options);
  RecursiveOptions how;
  how.chunk_size = TRY_OPTION(size_option(options, "chunk_size", 500, 1));
  how.chunk_overlap = TRY_OPTION(size_option(options, "chunk_overlap", 0, 0));
  if (how.chunk_overlap >= how.chunk_size) return wrong("`chunk_overlap` is below `chunk_size`", "chunk_overlap");
  if (options.flag("is_separator_regex", false))
    return wrong("separators that are regular expressions are not built into this version", "is_separator_regex");
  if (options.has("separators")) how.separators = options.texts("separators");
  if (options.has("separator")) how.separators = {options.text("separator"), " ", ""};
  const Measure measure = TRY_OPTION(measure_of(options, true));
  return value_function(std::move(text), [how, measure](Args args) {
    return pieces(args, [&](std::string_view of) { return split_recursively(of, how, measure); });
  });
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_sentences(const plan::FunctionSpec& spec,
                                                                         std::string text) {
  const SettingReader options(spec.options);
  const auto size = TRY_OPTION(size_option(options, "chunk_size", 500, 1));
  const auto overlap = TRY_OPTION(size_option(options, "chunk_overlap", 0, 0));
  if (overlap >= size) return wrong("`chunk_overlap` is below `chunk_size`", "chunk_overlap");
  const Measure measure = TRY_OPTION(measure_of(options, true));
  return value_function(std::move(text), [size, overlap, measure](Args args) {
    return pieces(args, [&](std::string_view of) { return split_sentences(of, size, overlap, measure); });
  });
}

// What a tag for recognition of characters is given: a picture, or a PDF.
Result<ParsedParts> parse_scans(std::string_view bytes) {
  return is_picture(bytes) ? parse_picture(bytes) : parse_document(bytes);
}

}  // namespace

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_splitter(const plan::FunctionSpec& spec,
                                                                        std::string text) {
  if (spec.kind == "llm.splitter.token_count") return make_token_count(spec, std::move(text));
  if (spec.kind == "llm.splitter.recursive") return make_recursive(spec, std::move(text));
  if (spec.kind == "llm.splitter.sentence") return make_sentences(spec, std::move(text));
  return value_function(std::move(text), [](Args args) -> Result<Value> {
    return Value::tuple({chunk(*TRY(text_argument(args)), no_metadata())});
  });
}

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_parser(const plan::FunctionSpec& spec,
                                                                      std::string text) {
  using Parse = Result<ParsedParts> (*)(std::string_view);
  const Parse parse = spec.kind == "llm.parser.utf8"       ? Parse(parse_utf8)
                      : spec.kind == "llm.parser.markdown" ? Parse(parse_markdown)
                      : spec.kind == "llm.parser.mail"     ? Parse(parse_mail)
                      : spec.kind == "llm.parser.ocr"      ? Parse(parse_scans)
                                                           : Parse(parse_document);
  const bool takes_text = spec.kind == "llm.parser.markdown" || spec.kind == "llm.parser.mail";
  return value_function(std::move(text), [parse, takes_text](Args args) -> Result<Value> {
    if (args.empty() || (args[0].tag() != Value::Tag::kStr && args[0].tag() != Value::Tag::kBytes))
      return fail(Code::kBadData, "there is no document to parse");
    std::vector<Value> out;
    if (args[0].tag() == Value::Tag::kStr && !takes_text) {
      out.push_back(chunk(args[0].as_text(), no_metadata()));
      return Value::tuple(std::move(out));
    }
    for (ParsedPart& part : TRY(parse(args[0].as_text())))
      out.push_back(chunk(std::move(part.text), Value::json(part.metadata_json)));
    return Value::tuple(std::move(out));
  });
}

}  // namespace thalweg::llm
