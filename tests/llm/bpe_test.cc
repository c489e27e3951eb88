// The expected tokens are those of OpenAI's tiktoken.
#include "llm/text/bpe.h"

#include <catch2/catch.hpp>

namespace thalweg::llm {
namespace {

using Tokens = std::vector<std::uint32_t>;

TEST_CASE("cl100k_base: tokens are tiktoken's") {
  const auto bpe = Bpe::find("cl100k_base");
  REQUIRE(bpe);
  CHECK(bpe->encode("Hello, world!") == Tokens{9906, 11, 1917, 0});
  CHECK(bpe->encode("  leading   spaces  and\n\n newlines\n") ==
        Tokens{220, 6522, 256, 12908, 220, 323, 271, 502, 8128, 198});
  CHECK(bpe->encode("It's 12345678 o'clock: we'll see") ==
        Tokens{2181, 596, 220, 4513, 10961, 2495, 297, 63510, 25, 584, 3358, 1518});
  CHECK(bpe->encode("Größe naïve 你好世界 🙂👍🏽 Привет") == Tokens{6600, 80040, 95980, 588,   220,   57668, 53901,
                                                                    3574, 244,   98220, 28584, 9468,  239,   235,
                                                                    9468, 237,   121,   80584, 28089, 8341});
  CHECK(bpe->encode("camelCaseXMLHttp fooBAR\t\ttabs") ==
        Tokens{94421, 4301, 10833, 2977, 15586, 34165, 197, 3324, 3518});
  CHECK(bpe->encode("<|endoftext|> a") == Tokens{27, 91, 8862, 728, 428, 91, 29, 264});
  CHECK(bpe->encode("xxxxxxxxxxxxxxxxxxxx  \u00a0y") == Tokens{45202, 45202, 19023, 256, 4194, 88});
  CHECK(bpe->encode("").empty());
}

TEST_CASE("o200k_base: tokens are tiktoken's") {
  const auto bpe = Bpe::find("o200k_base");
  REQUIRE(bpe);
  CHECK(bpe->encode("Hello, world!") == Tokens{13225, 11, 2375, 0});
  CHECK(bpe->encode("  leading   spaces  and\n\n newlines\n") ==
        Tokens{220, 8117, 256, 18608, 220, 326, 279, 620, 10105, 198});
  CHECK(bpe->encode("It's 12345678 o'clock: we'll see") ==
        Tokens{15834, 220, 7633, 19354, 4388, 293, 141801, 25, 22782, 1921});
  CHECK(bpe->encode("Größe naïve 你好世界 🙂👍🏽 Привет") ==
        Tokens{3193, 52715, 153475, 737, 220, 177519, 28428, 26192, 82514, 52622, 121, 14917, 131903});
  CHECK(bpe->encode("camelCaseXMLHttp fooBAR\t\ttabs") ==
        Tokens{178067, 6187, 13836, 4682, 30551, 61560, 197, 6264, 6071});
}

TEST_CASE("tokens cover the text, also where it is no UTF-8") {
  const auto bpe = Bpe::find("cl100k_base");
  for (const std::string& text : {std::string("a\xFF\xFE b"), std::string(9000, 'q'), std::string("\xF0\x9F\x99")}) {
    const auto ends = bpe->ends(text);
    REQUIRE_FALSE(ends.empty());
    CHECK(ends.back() == text.size());
    CHECK(std::is_sorted(ends.begin(), ends.end()));
  }
  CHECK(bpe->ends("one two three four", 2).size() == 2);
  CHECK_FALSE(Bpe::find("p50k_base"));
  CHECK(Bpe::encoding_of_model("gpt-4o-mini") == "o200k_base");
  CHECK(Bpe::encoding_of_model("gpt-4") == "cl100k_base");
}

TEST_CASE("the compatible form of a text") {
  CHECK(compatible_form("ﬁne ①") == "fine 1");
  CHECK(compatible_form("plain") == "plain");
  CHECK(compatible_form("a\xFF") == "a\xFF");
}

}  // namespace
}  // namespace thalweg::llm
