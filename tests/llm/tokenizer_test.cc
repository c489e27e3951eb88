// Tokens of small vocabularies; those of real ones are in tests/integration/local_models.
#include <fstream>

#include <catch2/catch.hpp>

#include "llm/local/tokenizer.h"

namespace thalweg::llm {
namespace {

using Tokens = std::vector<Token>;

std::shared_ptr<const Tokenizer> made(const std::string& json) {
  auto out = Tokenizer::from_json(json);
  INFO((out ? "" : out.error().message));
  REQUIRE(out);
  return *out;
}

const std::string kWordPiece = R"({
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                 "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
             {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 12,
            "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "cafe": 3, "##s": 4, "river": 5, "!": 6, "b": 7, "##ed": 8,
                      "河": 9, "[": 10, "]": 11, "##cls": 12}}})";

TEST_CASE("WordPiece") {
  const auto tokenizer = made(kWordPiece);
  CHECK(tokenizer->plain("Cafés  RIVER!\tbed") == Tokens{3, 4, 5, 6, 7, 8});
  CHECK(tokenizer->plain("a河river") == Tokens{0, 9, 5});
  CHECK(tokenizer->plain("bedbedbedbedbed") == Tokens{0});  // too long
  CHECK(tokenizer->plain("rivex") == Tokens{0});
  CHECK(tokenizer->plain("").empty());
  CHECK(tokenizer->plain("[CLS]") == Tokens{10, 0, 11});  // no mark out of a text
  const auto single = tokenizer->encode("river bed bed", 5);
  CHECK(single.tokens == Tokens{1, 5, 7, 8, 2});
  const auto pair = tokenizer->encode_pair("river", "bed !", 100);
  CHECK(pair.tokens == Tokens{1, 5, 2, 7, 8, 6, 2});
  CHECK(pair.segments == std::vector<std::uint8_t>{0, 0, 0, 1, 1, 1, 1});
  const auto cut = tokenizer->encode_pair("river river river river", "bed bed", 7);
  CHECK(cut.tokens == Tokens{1, 5, 5, 2, 7, 8, 2});
  CHECK(tokenizer->encode("river", 0).tokens == Tokens{1, 2});
}

TEST_CASE("byte pairs over bytes") {
  const auto tokenizer = made(R"({
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]},
    "model": {"type": "BPE", "vocab": {"<s>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5, "Ġ": 6, "Ġab": 7, "abab": 8,
              "Ã": 9, "¤": 10, "'": 11, "s": 12, "'s": 13}, "merges": ["a b", "Ġ ab", ["ab", "ab"], "' s"]}})");
  CHECK(tokenizer->plain("abab ab ä") == Tokens{8, 7, 6, 9, 10});
  CHECK(tokenizer->plain("ab's  ab") == Tokens{5, 13, 6, 7});
  CHECK(tokenizer->encode_pair("a", "b", 10).tokens == Tokens{1, 3, 2, 2, 4, 2});
  CHECK(tokenizer->encode("a b", 3).tokens == Tokens{1, 3, 2});
}

TEST_CASE("the likeliest way to cut") {
  const auto tokenizer = made(R"({
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"},
                   {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -3.0], ["▁ab", -4.0], ["a", -2.0],
              ["b", -2.0], ["▁a", -2.5], ["c", -9.0], ["bc", -3.0]]}})");
  CHECK(tokenizer->plain("ab") == Tokens{2});             // -4 beats -4.5
  CHECK(tokenizer->plain("abc  ａ") == Tokens{5, 7, 5});  // -5.5 beats -13
  CHECK(tokenizer->plain("xyz a") == Tokens{1, 0, 5});    // unknown letters are one token
  CHECK(tokenizer->unknown() == Token{0});
}

TEST_CASE("files that are not understood say what it is") {
  const auto why = [](const std::string& json) {
    const auto out = Tokenizer::from_json(json);
    REQUIRE_FALSE(out);
    return out.error().message;
  };
  CHECK(why("[]") == "it is no JSON object");
  CHECK(why("{}").find("model") != std::string::npos);
  CHECK(why(R"({"normalizer": {"type": "Magic"}})") == "the normalizer `Magic`");
  CHECK(why(R"({"pre_tokenizer": {"type": 7}})").find("type") != std::string::npos);
  CHECK(why(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})").find("merge") != std::string::npos);
  CHECK(why(R"({"model": {"type": "Unigram", "vocab": [["a"]]}})").find("vocabulary") != std::string::npos);
  CHECK(why(R"({"model": {"type": "WordPiece", "vocab": {"a": 0}}})").find("[UNK]") != std::string::npos);
}

}  // namespace
}  // namespace thalweg::llm
