#include <catch2/catch.hpp>

#include "pipeline_lang/yaml_reader.h"

using namespace thalweg;

namespace {

struct Read {
  FileTable files;
  lang::Diagnostics diagnostics;
  ast::NodePtr root;

  explicit Read(std::string text) {
    const FileId file = files.add("t.yaml", std::move(text));
    root = read_yaml(files, file, diagnostics);
  }
  [[nodiscard]] std::string text_at(const SourceSpan& span) const {
    return std::string(files.text(span.file).substr(span.begin, span.end - span.begin));
  }
  [[nodiscard]] std::string messages() const { return render_text(diagnostics, files); }
};

}  // namespace

TEST_CASE("every node knows where it stands") {
  Read read("a: !pw.x {b: \"é\", c: d e}\nf:\ng: ! $a\nh: |\n  one\n  two\ni: &q !t\nj: *q\n\"$k\": it\n");
  INFO(read.messages());
  REQUIRE(read.root != nullptr);
  const auto& entries = read.root->entries;
  REQUIRE(entries.size() == 7);
  CHECK(read.text_at(entries[0].value->tag_span) == "!pw.x");
  CHECK(entries[0].value->tag == "pw.x");
  CHECK(read.text_at(entries[0].value->span) == "{b: \"é\", c: d e}");
  CHECK(read.text_at(entries[0].value->entries[0].value->span) == "\"é\"");
  CHECK(read.text_at(entries[0].value->entries[1].value->sub_span(2, 3)) == "e");
  CHECK(entries[1].value->is_null());
  CHECK(entries[2].value->is_reference());
  CHECK(entries[3].value->quoted);
  CHECK(entries[3].value->text == "one\ntwo\n");
  CHECK(read.text_at(entries[3].value->span) == "|\n  one\n  two");
  CHECK(entries[4].value == entries[5].value);
  CHECK(entries[6].quoted);
  CHECK_FALSE(entries[6].is_definition());
}

TEST_CASE("keys are texts") {
  Read read("on: 1\n1: x\nnull: y\n");
  REQUIRE(read.root != nullptr);
  CHECK(read.root->entries[0].key == "on");
  CHECK(read.root->entries[1].key == "1");
  CHECK(read.root->entries[2].key == "null");
}

TEST_CASE("what YAML parsers let pass is an error with its place") {
  const std::pair<const char*, const char*> cases[] = {
      {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: error: duplicate key `a`"},
      {"a: \"never closed\n", "quote"},
      {"a: 'x\n", "quote"},
      {"a: 1\n---\nb: 2\n", "t.yaml:2:"},
      {"a: [1, 2\n", "`]` or `,`"},
      {"a: &x [*x]\n", "alias"},
      {"? [1]\n: 2\n", "key"},
      {"!t a: 2\n", "a key cannot have a tag"},
      {"a: \x04 b\n", "control character"},
      {"a: \xff\n", "UTF-8"},
      {"$a b: 1\n", "no name of a variable"},
  };
  for (const auto& [text, message] : cases) {
    Read read(text);
    INFO(text);
    CHECK(read.diagnostics.has_errors());
    CHECK_THAT(read.messages(), Catch::Contains(message));
  }
  CHECK(Read(std::string("a: \0b", 5)).diagnostics.has_errors());
}

TEST_CASE("depth, size and expansion are bounded") {
  CHECK_THAT(Read(std::string(300, '[') + std::string(300, ']')).messages(), Catch::Contains("levels"));
  CHECK(Read(std::string(100000, '[')).diagnostics.has_errors());
  CHECK_THAT(Read(std::string(kYamlBytesMax + 1, ' ')).messages(), Catch::Contains("bytes"));
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) laughs += (k == 0 ? "*a" : ", *a") + std::to_string(i - 1);
    laughs += "]\n";
  }
  CHECK_THAT(Read(laughs).messages(), Catch::Contains("nodes"));
}

TEST_CASE("an empty text is an empty mapping") {
  for (const char* text : {"", "# nothing\n", "---\n", "~\n", "\xEF\xBB\xBF"}) {
    Read read(text);
    REQUIRE(read.root != nullptr);
    CHECK(read.root->is_mapping());
    CHECK_FALSE(read.diagnostics.has_errors());
  }
}

TEST_CASE("no cut and no change of a byte crashes the reader") {
  const std::string text =
      "$s: !schema_from_types {a: int}\na: &x !io.csv.read\n  path: \"${P:-a}\"\n  schema: $s\nb: [*x, 'it''s', {c: "
      "|\n    d\n}]\n<<: {e: 1}\n";
  for (std::size_t i = 0; i < text.size(); ++i) {
    Read cut(text.substr(0, i));
    for (const char c : {'\'', '"', ':', '{', ']', '&', '*', '!', '\n', '\t', '|', '%', '\xC3'}) {
      std::string changed = text;
      changed[i] = c;
      Read read(changed);
    }
  }
  SUCCEED();
}
