#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Net = std::map<std::string, int>;

namespace {

const std::vector<plan::SourceField> kAB = {field("a", Kind::kInt), field("b", Kind::kStr)};

void nap(std::int64_t ms) {
  timespec pause{0, ms * 1'000'000};
  nanosleep(&pause, nullptr);
}

// Runs a follower; each step changes files, then the net rows are looked at.
class Following {
 public:
  Following(const std::string& connector, Setting given, std::vector<plan::SourceField> fields) {
    source_.connector = connector;
    source_.name = "s";
    Setting::Map map = *given.as_map();
    map.emplace_back("partial_line_timeout", text("20ms"));
    map.emplace_back("refresh_interval", text("10ms"));
    source_.args = decoded(connector, Setting(std::move(map)));
    source_.fields = std::move(fields);
  }
  struct Step {
    std::function<void()> change;
    Net expected;
  };
  void run(std::vector<Step> steps) {
    Env env = real_env();
    auto made = make_source(source_, env);
    INFO((made ? "" : made.error().message));
    REQUIRE(made);
    CollectContext context(types_of(source_));
    std::size_t step = 0;
    std::size_t waits = 0;
    context.on_wait = [&](CollectContext& c, std::size_t) {
      check_rows(c);
      // A step is over when the rows are as expected, or after a while.
      bool reached = step == 0 || c.net() == steps[step - 1].expected;
      if (!reached && ++waits < 100) return nap(5);
      if (step > 0) {
        INFO("step " << step);
        CHECK(c.net() == steps[step - 1].expected);
      }
      waits = 0;
      if (step == steps.size()) {
        c.stop = true;
        return;
      }
      rows_before_step.push_back(c.rows.all.size());
      steps[step++].change();
      nap(12);
    };
    auto done = (*made)->run(context);
    INFO((done ? "" : done.error().message));
    CHECK(done);
    bad = context.rows.messages();
    rows = context.rows.all.size();
    warnings = context.warnings;
  }
  // Every key has at most one live row, and a row is taken back with the key it was given.
  static void check_rows(const CollectContext& context) {
    std::map<std::string, int> live;
    for (const Row& row : context.rows.all) live[to_text(row.key) + row.text] += row.diff;
    std::map<std::string, int> keys;
    for (const auto& [name, count] : live) {
      CHECK(count >= 0);
      CHECK(count <= 1);
      keys[name.substr(0, 27)] += count;
    }
    for (const auto& [key, count] : keys) CHECK(count <= 1);
  }
  plan::Source source_;
  std::vector<std::size_t> rows_before_step;
  std::vector<std::string> bad;
  std::vector<std::string> warnings;
  std::size_t rows = 0;
};

}  // namespace

TEST_CASE("W1: appended lines are read alone") {
  TempDir dir;
  std::string path = dir.write("x.csv", "a,b\n1,x\n2,y\n");
  Following f("io.csv.read", args({{"path", text(path)}}), kAB);
  f.run({{[] {}, Net{{"1|x", 1}, {"2|y", 1}}},
         {[&] { dir.append("x.csv", "3,z\n1,x\n"); }, Net{{"1|x", 2}, {"2|y", 1}, {"3|z", 1}}},
         {[&] { dir.append("x.csv", "4,"); }, Net{{"1|x", 2}, {"2|y", 1}, {"3|z", 1}, {"4|", 1}}},
         {[&] { dir.append("x.csv", "w\n"); }, Net{{"1|x", 2}, {"2|y", 1}, {"3|z", 1}, {"4|w", 1}}}});
  CHECK(f.rows == 2 + 2 + 1 + 2);
}

TEST_CASE("W1: an edit touches the rows that differ, wherever they stand") {
  TempDir dir;
  std::string path = dir.write(
      "x.jsonl", "{\"a\":1,\"b\":\"x\"}\n{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n{\"a\":3,\"b\":\"z\"}\n");
  Following f("io.jsonlines.read", args({{"path", text(path)}}), kAB);
  f.run({{[] {}, Net{{"1|x", 2}, {"2|y", 1}, {"3|z", 1}}},
         {[&] { dir.write("x.jsonl", "{\"a\":0,\"b\":\"new\"}\n{\"a\":1,\"b\":\"x\"}\n{\"a\":3,\"b\":\"z\"}\n"); },
          Net{{"0|new", 1}, {"1|x", 1}, {"3|z", 1}}},
         {[&] { dir.append("x.jsonl", "{\"a\":1,\"b\":\"x\"}\n"); }, Net{{"0|new", 1}, {"1|x", 2}, {"3|z", 1}}},
         {[&] { dir.write("x.jsonl", ""); }, Net{}},
         {[&] { dir.write("x.jsonl", "{\"a\":1,\"b\":\"x\"}"); }, Net{{"1|x", 1}}}});
  CHECK(f.rows == 4 + 3 + 1 + 4 + 1);
}

TEST_CASE("W1: a rewrite of equal size at once after the first is seen") {
  TempDir dir;
  std::string path = dir.write("x.csv", "a,b\n1,x\n");
  Following f("io.csv.read", args({{"path", text(path)}}), kAB);
  f.run({{[&] {
            dir.write("x.csv", "a,b\n2,x\n");
            dir.write("x.csv", "a,b\n3,x\n");
          },
          Net{{"3|x", 1}}},
         {[&] { dir.write("x.csv", "a,b\n4,x\n"); }, Net{{"4|x", 1}}}});
}

TEST_CASE("files come, go and take other names; other headers make other rows") {
  TempDir dir;
  dir.write("d/1.csv", "a,b\n1,x\n");
  Following f("io.csv.read", args({{"path", text(dir.path("d"))}}), kAB);
  f.run({{[&] { dir.write("d/sub/2.csv", "b,a\ny,2\n"); }, Net{{"1|x", 1}, {"2|y", 1}}},
         {[&] { std::filesystem::rename(dir.path("d/1.csv"), dir.path("d/3.csv")); }, Net{{"1|x", 1}, {"2|y", 1}}},
         {[&] { std::filesystem::remove(dir.path("d/3.csv")); }, Net{{"2|y", 1}}},
         {[&] { dir.write("d/sub/2.csv", "a,b\n7,y\n"); }, Net{{"7|y", 1}}},
         {[&] { std::filesystem::remove_all(dir.path("d/sub")); }, Net{}}});
}

TEST_CASE("a path that is not there is waited for") {
  TempDir dir;
  Following f("io.csv.read", args({{"path", text(dir.path("later/x.csv"))}}), kAB);
  f.run({{[&] { dir.write("later/x.csv", "a,b\n1,x\n"); }, Net{{"1|x", 1}}}});
  CHECK(f.warnings.size() == 1);
}

TEST_CASE("W3: primary keys, and rows with errors are taken back as they came") {
  TempDir dir;
  std::string path = dir.write("x.csv", "a,b\n1,x\nq,y\n2,z\n");
  Following f("io.csv.read", args({{"path", text(path)}}), {field("a", Kind::kInt), key_field("b", Kind::kStr)});
  f.run({{[] {}, Net{{"1|x", 1}, {"Error|y", 1}, {"2|z", 1}}},
         {[&] { dir.write("x.csv", "a,b\n5,x\n2,z\nr,w\n"); }, Net{{"5|x", 1}, {"2|z", 1}, {"Error|w", 1}}}});
  CHECK(f.bad ==
        std::vector<std::string>{path + ":3:1: column `a` is `q`, not int", path + ":4:1: column `a` is `r`, not int"});
}

TEST_CASE("by file: a changed file is an update of its row") {
  TempDir dir;
  dir.write("d/a.txt", "one");
  dir.write("d/b.txt", "two");
  Following f("io.fs.read", args({{"path", text(dir.path("d"))}, {"format", text("plaintext_by_file")}}),
              {field("data", Kind::kStr)});
  f.run({{[] {}, Net{{"one", 1}, {"two", 1}}},
         {[&] { dir.write("d/a.txt", "three"); }, Net{{"three", 1}, {"two", 1}}},
         {[&] { std::filesystem::remove(dir.path("d/b.txt")); }, Net{{"three", 1}}}});
  CHECK(f.rows == 5);
}

TEST_CASE("metadata of a changed file changes in all of its rows") {
  TempDir dir;
  std::string path = dir.write("x.csv", "a,b\n1,x\n");
  auto meta = field("_metadata", Kind::kJson);
  meta.from = plan::SourceField::From::kMetadata;
  Following f("io.csv.read", args({{"path", text(path)}, {"with_metadata", Setting(true)}}),
              {field("a", Kind::kInt), meta});
  Env env = real_env();
  auto made = make_source(f.source_, env);
  REQUIRE(made);
  CollectContext context(types_of(f.source_));
  std::size_t rounds = 0;
  context.on_wait = [&](CollectContext& c, std::size_t) {
    if (rounds++ == 0) dir.write("x.csv", "a,b\n1,x\n2,y\n3,z\n");
    nap(15);
    if (rounds > 6) c.stop = true;
  };
  REQUIRE((*made)->run(context));
  auto net = context.net();
  CHECK(net.size() == 3);
  for (const auto& [row, count] : net) CHECK(count == 1);
}

TEST_CASE("append-only: nothing is taken back, a replaced file is read as a new one") {
  TempDir dir;
  std::string path = dir.write("log.txt", "one\ntwo\n");
  Following f("io.plaintext.read", args({{"path", text(path)}}), {field("data", Kind::kStr)});
  f.source_.append_only = true;
  f.run({{[] {}, Net{{"one", 1}, {"two", 1}}},
         {[&] { dir.append("log.txt", "three\nfo"); }, Net{{"one", 1}, {"two", 1}, {"three", 1}}},
         {[&] { dir.append("log.txt", "ur\n"); }, Net{{"one", 1}, {"two", 1}, {"three", 1}, {"four", 1}}},
         {[&] {
            std::filesystem::rename(path, path + ".1");
            dir.write("log.txt", "one\n");
          },
          Net{{"one", 2}, {"two", 1}, {"three", 1}, {"four", 1}}}});
}

TEST_CASE("compressed files are followed by content") {
  TempDir dir;
  dir.write("x.csv", "a,b\n1,x\n2,y\n");
  auto pack = [&] { REQUIRE(std::system(("gzip -fk " + dir.path("x.csv")).c_str()) == 0); };
  pack();
  Following f("io.csv.read", args({{"path", text(dir.path("x.csv.gz"))}}), kAB);
  f.run({{[] {}, Net{{"1|x", 1}, {"2|y", 1}}},
         {[&] {
            dir.write("x.csv", "a,b\n1,x\n3,z\n");
            pack();
          },
          Net{{"1|x", 1}, {"3|z", 1}}},
         {[&] { dir.write("x.csv.gz", "half"); }, Net{{"1|x", 1}, {"3|z", 1}}}});
}

TEST_CASE("W1: random edits end in what the file says") {
  std::uint64_t seed = 99;
  auto next = [&] {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return seed >> 33;
  };
  TempDir dir;
  std::vector<int> lines;
  auto content = [&] {
    std::string out = "a,b\n";
    for (int v : lines) out += std::to_string(v) + ",v\n";
    return out;
  };
  std::string path = dir.write("x.csv", content());
  std::vector<Following::Step> steps;
  std::vector<std::vector<int>> versions;
  for (int i = 0; i < 25; ++i) {
    for (std::size_t n = next() % 4; n > 0; --n)
      lines.insert(lines.begin() + static_cast<long>(next() % (lines.size() + 1)), static_cast<int>(next() % 3));
    if (next() % 2 && !lines.empty()) lines.erase(lines.begin() + static_cast<long>(next() % lines.size()));
    Net expected;
    for (int v : lines) ++expected[std::to_string(v) + "|v"];
    steps.push_back({[&dir, text = content()] { dir.write("x.csv", text); }, expected});
  }
  Following f("io.csv.read", args({{"path", text(path)}}), kAB);
  INFO("seed 99");
  f.run(std::move(steps));
}

}  // namespace thalweg
