// The binary from outside: commands that answer from tables.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/daemon/process.h"

namespace thalweg::tests {

using Catch::Contains;
using nlohmann::json;

namespace {

constexpr const char* kCounts = R"(
$words: !io.csv.read
  path: ./words.csv
  mode: static
  schema: !schema_from_types {word: str, n: int}
counts: !groupby
  table: $words
  by: [word]
  reduce: {total: sum(n)}
out: !io.csv.write {table: $counts, filename: ./out.csv}
)";

}  // namespace

TEST_CASE("version and help answer on stdout with exit code 0") {
  ScratchDirectory scratch;
  Finished version = thalweg(scratch.path(), {"version"});
  CHECK(version.exit_code == 0);
  CHECK_THAT(version.out, Contains("thalweg 0."));
  CHECK(json::parse(thalweg(scratch.path(), {"version", "--json"}).out)["name"] == "thalweg");
  Finished help = thalweg(scratch.path(), {"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.out, Contains("explain"));
}

TEST_CASE("wrong usage is exit code 2 and says what was expected") {
  ScratchDirectory scratch;
  CHECK(thalweg(scratch.path(), {}).exit_code == 2);
  Finished unknown = thalweg(scratch.path(), {"rnu"});
  CHECK(unknown.exit_code == 2);
  CHECK_THAT(unknown.err, Contains("rnu"));
  CHECK(unknown.out.empty());
  CHECK(thalweg(scratch.path(), {"run"}).exit_code == 2);
  CHECK(thalweg(scratch.path(), {"explain", "x.yaml", "--format", "png"}).exit_code == 2);
  CHECK(thalweg(scratch.path(), {"run", "x.yaml", "--set", "novalue"}).exit_code == 2);
  CHECK(thalweg(scratch.path(), {"run", "x.yaml", "--workers", "0"}).exit_code == 2);
  Finished listed = thalweg(scratch.path(), {"list", "fishes"});
  CHECK(listed.exit_code == 2);
  CHECK_THAT(listed.err, Contains("connectors"));
}

TEST_CASE("check says ok, or every error with its place and exit code 3") {
  ScratchDirectory scratch;
  scratch.write("words.csv", "word,n\na,1\n");
  scratch.write("good.yaml", kCounts);
  Finished good = thalweg(scratch.path(), {"check", "good.yaml"});
  INFO(good.err);
  CHECK(good.exit_code == 0);
  CHECK_THAT(good.out, Contains("good.yaml: ok"));
  scratch.write("bad.yaml", "t: !select {table: $nothing}\nu: !selct {}\n");
  Finished bad = thalweg(scratch.path(), {"check", "good.yaml", "bad.yaml"});
  CHECK(bad.exit_code == 3);
  CHECK_THAT(bad.err, Contains("bad.yaml:1:") && Contains("bad.yaml:2:4: error:") && Contains("select"));
  CHECK_THAT(bad.err, !Contains("\x1b["));
  CHECK_THAT(thalweg(scratch.path(), {"check", "bad.yaml"}, {{"FORCE_COLOR", "1"}}).err, Contains("\x1b[1;31m"));
  Finished plain = thalweg(scratch.path(), {"check", "bad.yaml"}, {{"FORCE_COLOR", "1"}, {"NO_COLOR", "1"}});
  CHECK_THAT(plain.err, !Contains("\x1b["));
  Finished as_json = thalweg(scratch.path(), {"check", "--format", "json", "good.yaml", "bad.yaml"});
  CHECK(as_json.exit_code == 3);
  json document = json::parse(as_json.out);
  CHECK(document["valid"] == false);
  CHECK(document["diagnostics"].size() >= 2);
  CHECK(document["diagnostics"][0]["line"] == 1);
}

TEST_CASE("check survives what is no pipeline") {
  ScratchDirectory scratch;
  auto code = [&](const std::string& text) {
    scratch.write("x.yaml", text);
    return thalweg(scratch.path(), {"check", "x.yaml"}).exit_code;
  };
  CHECK(code("[1, 2") == 3);
  CHECK(code("- a\n- b\n") == 3);
  CHECK(code("a: 'open\n") == 3);
  CHECK(code(std::string("a: \xff\xfe\n")) == 3);
  CHECK(code("a: 1\na: 2\n") == 3);
  CHECK(thalweg(scratch.path(), {"check", "missing.yaml"}).exit_code == 3);
  CHECK(thalweg(scratch.path(), {"check", scratch.path()}).exit_code == 3);
}

TEST_CASE("list, docs and json-schema come from the tables") {
  ScratchDirectory scratch;
  CHECK_THAT(thalweg(scratch.path(), {"list"}).out, Contains("io.csv.read") && Contains("join"));
  json functions = json::parse(thalweg(scratch.path(), {"list", "functions", "--format", "json"}).out);
  CHECK(functions["functions"].size() > 50);
  CHECK_THAT(thalweg(scratch.path(), {"docs", "pw.io.csv.read"}).out, Contains("!io.csv.read (source)"));
  CHECK_THAT(thalweg(scratch.path(), {"docs", "str.lower"}).out, Contains("str.lower"));
  Finished unknown = thalweg(scratch.path(), {"docs", "gruopby"});
  CHECK(unknown.exit_code == 2);
  CHECK_THAT(unknown.err, Contains("did you mean `groupby`?"));
  json schema = json::parse(thalweg(scratch.path(), {"json-schema"}).out);
  CHECK(schema["$defs"].contains("io.csv.read"));
  CHECK(schema["properties"].contains("terminate_on_error"));
}

TEST_CASE("schema infer prints a schema that check accepts") {
  ScratchDirectory scratch;
  scratch.write("in.csv", "word,n,odd name\na,1,\nb,2,x\n");
  Finished inferred = thalweg(scratch.path(), {"schema", "infer", "in.csv"});
  CHECK(inferred.exit_code == 0);
  CHECK_THAT(inferred.out, Contains("schema: !schema_from_types") && Contains("n: int"));
  std::string indented;
  for (char c : inferred.out) indented += c == '\n' ? std::string("\n  ") : std::string(1, c);
  scratch.write("p.yaml", "t: !io.csv.read\n  path: in.csv\n  mode: static\n  " + indented + "\n");
  Finished checked = thalweg(scratch.path(), {"check", "p.yaml"});
  INFO(checked.err);
  CHECK(checked.exit_code == 0);
  CHECK(thalweg(scratch.path(), {"schema", "infer", "none.csv"}).exit_code != 0);
}

TEST_CASE("completion scripts name every command") {
  ScratchDirectory scratch;
  const char* shell = GENERATE("bash", "zsh", "fish");
  Finished script = thalweg(scratch.path(), {"completion", shell});
  CHECK(script.exit_code == 0);
  CHECK_THAT(script.out, Contains("json-schema") && Contains("until-idle"));
}

TEST_CASE("explain draws the graph in four forms") {
  ScratchDirectory scratch;
  scratch.write("words.csv", "word,n\na,1\n");
  scratch.write("p.yaml", kCounts);
  Finished text = thalweg(scratch.path(), {"explain", "p.yaml"});
  INFO(text.err);
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.out, Contains("groupby") && Contains("exchanged by") && Contains("holds: one entry per group"));
  json graph = json::parse(thalweg(scratch.path(), {"explain", "p.yaml", "--format", "json"}).out);
  CHECK(graph["operators"].size() >= 3);
  CHECK_THAT(thalweg(scratch.path(), {"explain", "p.yaml", "--format", "dot"}).out, Contains("digraph"));
  CHECK_THAT(thalweg(scratch.path(), {"explain", "p.yaml", "--format", "mermaid"}).out, Contains("flowchart LR"));
}

TEST_CASE("init writes a pipeline whose tests pass, and nothing over what is there") {
  ScratchDirectory scratch;
  std::string listed = thalweg(scratch.path(), {"init", "--list"}).out;
  for (const char* name : {"words", "join", "windows", "sql"}) {
    INFO(name);
    CHECK_THAT(listed, Contains(name));
    Finished made = thalweg(scratch.path(), {"init", name, "--dir", name});
    CHECK(made.exit_code == 0);
    CHECK_THAT(made.out, Contains(std::string(name) + "/pipeline.yaml"));
    std::string file = std::string(name) + "/pipeline.yaml";
    CHECK(thalweg(scratch.path(), {"test", file}).exit_code == 0);
    CHECK(thalweg(scratch.path(), {"run", file, "--until-idle", "0.2"}).exit_code == 0);
  }
  Finished again = thalweg(scratch.path(), {"init", "--dir", "words"});
  CHECK(again.exit_code == 1);
  CHECK_THAT(again.err, Contains("is there already"));
  Finished unknown = thalweg(scratch.path(), {"init", "wordz"});
  CHECK(unknown.exit_code == 2);
  CHECK_THAT(unknown.err, Contains("did you mean `words`"));
}

TEST_CASE("the manual page names every command and option") {
  ScratchDirectory scratch;
  std::string page = thalweg(scratch.path(), {"man"}).out;
  CHECK_THAT(page, Contains(".TH THALWEG 1"));
  for (const char* text : {"thalweg run", "thalweg schema infer", "\\-\\-until\\-idle", "EXIT STATUS"})
    CHECK_THAT(page, Contains(text));
}

TEST_CASE("check --probe reaches what a pipeline names") {
  ScratchDirectory scratch;
  scratch.write("p.yaml", kCounts);
  Finished missing = thalweg(scratch.path(), {"check", "p.yaml", "--probe"});
  CHECK(missing.exit_code == 1);
  CHECK_THAT(missing.err, Contains("words.csv"));
  scratch.write("words.csv", "word,n\na,1\n");
  Finished there = thalweg(scratch.path(), {"check", "p.yaml", "--probe"});
  CHECK(there.exit_code == 0);
  CHECK_THAT(there.out, Contains("io.csv.read words: reached"));
  scratch.write("e.yaml",
                "$a: !io.exec.read {command: [no-such-program], schema: !schema_from_types {a: int}}\nb: $a\n");
  Finished program = thalweg(scratch.path(), {"check", "e.yaml", "--probe"});
  CHECK(program.exit_code == 1);
  CHECK_THAT(program.err, Contains("no program `no-such-program`"));
}

TEST_CASE("variables come from .env and --env-file, workers from the environment") {
  ScratchDirectory scratch;
  scratch.write("words.csv", "word,n\na,1\n");
  std::string pipeline = kCounts;
  pipeline.replace(pipeline.find("./words.csv"), 11, "$WORDS_FILE");
  scratch.write("p.yaml", pipeline);
  CHECK(thalweg(scratch.path(), {"check", "p.yaml"}).exit_code == 3);
  scratch.write("named.env", "# where the words are\nexport WORDS_FILE='./words.csv'\n");
  CHECK(thalweg(scratch.path(), {"check", "p.yaml", "--env-file", "named.env"}).exit_code == 0);
  scratch.write(".env", "WORDS_FILE=./words.csv\n");
  CHECK(thalweg(scratch.path(), {"run", "p.yaml", "--threads", "2"}).exit_code == 0);
  CHECK(thalweg(scratch.path(), {"spawn", "p.yaml"}).exit_code == 0);
  scratch.write(".env", "no pair\n");
  Finished broken = thalweg(scratch.path(), {"run", "p.yaml"});
  CHECK(broken.exit_code == 2);
  CHECK_THAT(broken.err, Contains(".env:1"));
}

}  // namespace thalweg::tests
