#include "llm/text/splitters.h"

#include <catch2/catch.hpp>

#include "tests/support/random.h"

namespace thalweg::llm {
namespace {

std::size_t bytes(std::string_view text) { return text.size(); }

std::vector<std::string> texts_of(std::string_view text, const std::vector<Piece>& pieces) {
  std::vector<std::string> out;
  for (const Piece piece : pieces) out.emplace_back(text.substr(piece.begin, piece.end - piece.begin));
  return out;
}
using Texts = std::vector<std::string>;

TEST_CASE("recursive splitting goes by the first separator that helps") {
  const std::string text = "One two.\n\nThree four five six.\nSeven";
  RecursiveOptions options;
  options.chunk_size = 12;
  CHECK(texts_of(text, split_recursively(text, options, bytes)) ==
        Texts{"One two.", "Three four", "five six.", "Seven"});
  options.chunk_size = 100;
  CHECK(texts_of(text, split_recursively(text, options, bytes)) == Texts{text});
  CHECK(split_recursively("", options, bytes).empty());
  CHECK(split_recursively(" \n ", options, bytes).empty());
}

TEST_CASE("chunks overlap by whole parts") {
  RecursiveOptions options;
  options.chunk_size = 6;
  options.chunk_overlap = 3;
  options.separators = {" ", ""};
  const std::string text = "aa bb cc dd";
  CHECK(texts_of(text, split_recursively(text, options, bytes)) == Texts{"aa bb", "bb cc", "cc dd"});
}

TEST_CASE("sentences stay whole") {
  const std::string text = "One is 1.5. Is two \"2?\" Yes! 三。四。";
  CHECK(texts_of(text, split_sentences(text, 1, 0, bytes)) ==
        Texts{"One is 1.5.", "Is two \"2?\"", "Yes!", "三。", "四。"});
  CHECK(texts_of(text, split_sentences(text, 24, 0, bytes)).front() == "One is 1.5. Is two \"2?\"");
}

TEST_CASE("chunks are within their size and leave nothing out") {
  testing::Random random(testing::setting_or("THALWEG_PROPERTY_SEED", 3));
  for (int round = 0; round < 300; ++round) {
    std::string text;
    static const std::vector<std::string> kParts = {"a", "bc", " ", "\n", "\n\n", ". ", "ä", "長い", "word"};
    for (std::size_t i = 0, n = random.below(120); i < n; ++i) text += random.one_of(kParts);
    RecursiveOptions options;
    options.chunk_size = 4 + random.below(30);
    const auto pieces = split_recursively(text, options, bytes);
    std::string joined, expected;
    std::size_t at = 0;
    for (const Piece piece : pieces) {
      CHECK(piece.begin >= at);
      CHECK(piece.end - piece.begin <= options.chunk_size);
      at = piece.end;
      joined += text.substr(piece.begin, piece.end - piece.begin);
    }
    const auto without_blanks = [](const std::string& from) {
      std::string out;
      for (const char c : from)
        if (c != ' ' && c != '\n') out += c;
      return out;
    };
    CHECK(without_blanks(joined) == without_blanks(text));
  }
}

}  // namespace
}  // namespace thalweg::llm
