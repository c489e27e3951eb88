#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "connectors/file/byte_reader.h"
#include "connectors/file/infer.h"
#include "connectors/file/scan.h"
#include "engine/base/file_births.h"
#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Texts = std::vector<std::string>;

namespace {

plan::Source source_of(const std::string& connector, Setting given, std::vector<plan::SourceField> fields) {
  plan::Source source;
  source.connector = connector;
  source.name = "s";
  source.args = decoded(connector, given);
  source.fields = std::move(fields);
  return source;
}

Setting static_args(const std::string& path) { return args({{"path", text(path)}, {"mode", text("static")}}); }

Result<void> run(const plan::Source& source, CollectContext& context) {
  Env env = real_env();
  auto made = make_source(source, env);
  if (!made) return fail(made.error());
  return (*made)->run(context);
}

const std::vector<plan::SourceField> kAB = {field("a", Kind::kInt), field("b", Kind::kStr)};

}  // namespace

TEST_CASE("static csv: a file, all of it one commit") {
  TempDir dir;
  auto source = source_of("io.csv.read",
                          static_args(dir.write("x.csv",
                                                "\xEF\xBB\xBF"
                                                "a,b\n1,x\n2,\"y\nz\"\n3,w")),
                          kAB);
  CollectContext context(types_of(source));
  REQUIRE(run(source, context));
  CHECK(context.rows.texts() == Texts{"1|x", "2|y\nz", "3|w"});
  CHECK(context.commits == 1);
  CollectContext again(types_of(source));
  REQUIRE(run(source, again));
  for (std::size_t i = 0; i < 3; ++i) CHECK(again.rows.all[i].key == context.rows.all[i].key);
}

TEST_CASE("static: directories, patterns, gzip") {
  TempDir dir;
  dir.write("d/1.jsonl", "{\"a\":1,\"b\":\"x\"}\n");
  dir.write("d/sub/2.jsonl", "{\"a\":2,\"b\":\"y\"}\n");
  dir.write("d/.hidden.jsonl", "no\n");
  dir.write("d/3.txt", "no\n");
  dir.write("d/4.jsonl", "{\"a\":4,\"b\":\"z\"}\n");
  REQUIRE(std::system(("gzip " + dir.path("d/4.jsonl")).c_str()) == 0);
  auto rows = [&](Setting given) {
    auto source = source_of("io.fs.read", std::move(given), kAB);
    CollectContext context(types_of(source));
    auto done = run(source, context);
    INFO((done ? "" : done.error().message));
    CHECK(done);
    auto texts = context.rows.texts();
    std::sort(texts.begin(), texts.end());
    return texts;
  };
  CHECK(rows(args({{"path", text(dir.path("d"))},
                   {"mode", text("static")},
                   {"format", text("json")},
                   {"object_pattern", text("*.jsonl*")}})) == Texts{"1|x", "2|y", "4|z"});
  CHECK(rows(static_args(dir.path("d/*.jsonl*"))) == Texts{"1|x", "4|z"});
  CHECK(rows(static_args(dir.path("d/**/*.jsonl"))) == Texts{"1|x", "2|y"});
}

TEST_CASE("the birth of a file is that of the file system, near its first write, and of no other file") {
  TempDir dir;
  const std::int64_t before = real_env().clock->wall_ns();
  const std::string path = dir.write("a.txt", "one");
  const auto born = birth_ns(*real_env().disk, path);
  if (born) {  // not every file system keeps it
    CHECK(std::abs(*born - before) < 600'000'000'000);
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(10));
    CHECK(birth_ns(*real_env().disk, path) == born);
  }
  CHECK_FALSE(birth_ns(*real_env().disk, dir.path("none")).has_value());
}

TEST_CASE("static: by file, by line, metadata") {
  TempDir dir;
  dir.write("f/a.txt", "one\ntwo\n\nlast");
  auto source = source_of("io.plaintext.read", static_args(dir.path("f/a.txt")), {field("data", Kind::kStr)});
  CollectContext lines(types_of(source));
  REQUIRE(run(source, lines));
  CHECK(lines.rows.texts() == Texts{"one", "two", "", "last"});
  auto meta = field("_metadata", Kind::kJson);
  meta.from = plan::SourceField::From::kMetadata;
  source = source_of("io.fs.read",
                     args({{"path", text(dir.path("f"))},
                           {"mode", text("static")},
                           {"format", text("binary")},
                           {"with_metadata", Setting(true)}}),
                     {field("data", Kind::kBytes), meta});
  CollectContext whole(types_of(source));
  REQUIRE(run(source, whole));
  REQUIRE(whole.rows.all.size() == 1);
  const auto born_ns = birth_ns(*real_env().disk, dir.path("f/a.txt"));
  const std::string born = born_ns ? std::to_string(*born_ns / 1'000'000'000) : "null";
  CHECK(whole.rows.all[0].text.starts_with("b'one\\x0atwo\\x0a\\x0alast'|{\"created_at\":" + born + ","));
  CHECK(whole.rows.all[0].text.find("\"path\":\"" + dir.path("f/a.txt") + "\"") != std::string::npos);
  CHECK(whole.rows.all[0].text.find("\"size\":13") != std::string::npos);
}

TEST_CASE("static: missing input and broken archives are errors") {
  TempDir dir;
  auto message = [&](const std::string& path) {
    auto source = source_of("io.csv.read", static_args(path), kAB);
    CollectContext context(types_of(source));
    auto done = run(source, context);
    return done ? std::string("no error") : done.error().message;
  };
  CHECK(message(dir.path("none.csv")) == "there is no file or directory '" + dir.path("none.csv") + "'");
  CHECK(message(dir.path("*.csv")) == "no file matches '" + dir.path("*.csv") + "'");
  CHECK(message(dir.write("x.csv.gz", "not gzip at all")).find("is not a whole gzip file") != std::string::npos);
}

TEST_CASE("static: bad records, dead letters, fail") {
  TempDir dir;
  std::string path = dir.write("x.csv", "a,b\n1,x\n2,y,z\nq,w\n");
  auto source = source_of(
      "io.csv.read",
      args({{"path", text(path)}, {"mode", text("static")}, {"dead_letter", text(dir.path("dead/bad.jsonl"))}}), kAB);
  CollectContext context(types_of(source));
  REQUIRE(run(source, context));
  CHECK(context.rows.texts() == Texts{"1|x", "Error|w"});
  REQUIRE(context.rows.bad.size() == 2);
  const BadRecord& record = context.rows.bad[0];
  CHECK(record.raw == "2,y,z");
  CHECK(located_message(record) == path + ":3:1: the record has 3 fields, the header 2");
  CHECK(record.kind == BadRecord::Kind::kRecord);
  CHECK(context.rows.bad[1].raw == "q,w");
  CHECK(located_message(context.rows.bad[1]) == path + ":4:1: column `a` is `q`, not int");
  CHECK(context.rows.bad[1].kind == BadRecord::Kind::kValue);
  CHECK(dir.read("dead/bad.jsonl").empty());  // it can be written; the engine writes it, commit by commit
  source = source_of("io.csv.read",
                     args({{"path", text(path)}, {"mode", text("static")}, {"on_bad_row", text("fail")}}), kAB);
  CollectContext failing(types_of(source));
  REQUIRE(run(source, failing));
  REQUIRE(!failing.rows.bad.empty());
  CHECK(failing.rows.bad[0].fatal);
}

TEST_CASE("R1: a record that is too long is a bad record, and the next one is read") {
  TempDir dir;
  std::string path = dir.write("x.csv", "a,b\n1,x\n2," + std::string(5'000'000, 'y') + "\n3,z\n");
  auto source = source_of(
      "io.csv.read",
      args({{"path", text(path)}, {"mode", text("static")}, {"record_bytes_max", Setting(std::int64_t{1 << 20})}}),
      kAB);
  CollectContext context(types_of(source));
  REQUIRE(run(source, context));
  CHECK(context.rows.texts() == Texts{"1|x", "3|z"});
  CHECK(context.rows.messages() == Texts{path + ":3:1: the record is longer than 1048576 bytes (`record_bytes_max`)"});
  CHECK(context.rows.bad[0].raw.size() == 64 * 1024);
  auto large = source_of("io.csv.read", static_args(path), kAB);
  CollectContext fits(types_of(large));
  REQUIRE(run(large, fits));
  CHECK(fits.rows.all.size() == 3);
}

TEST_CASE("R1: a quote that nothing closes costs one line") {
  TempDir dir;
  std::string path = dir.write("x.csv", "a,b\n1,x\n2,\"y\n3,z\n4,w\n");
  auto source = source_of("io.csv.read", static_args(path), kAB);
  CollectContext context(types_of(source));
  REQUIRE(run(source, context));
  CHECK(context.rows.texts() == Texts{"1|x", "3|z", "4|w"});
  CHECK(context.rows.messages() ==
        Texts{path + ":3:1: a quoted field begins in this line and is not closed before the end of the file"});
}

TEST_CASE("static: a file of many blocks, each row once") {
  TempDir dir;
  std::string content = "a,b\n";
  for (int i = 0; i < 300'000; ++i) content += std::to_string(i) + ",\"row\n" + std::to_string(i) + "\"\n";
  auto source = source_of("io.csv.read", static_args(dir.write("x.csv", content)), kAB);
  CollectContext context(types_of(source));
  REQUIRE(run(source, context));
  CHECK(context.pieces > 3);
  REQUIRE(context.rows.all.size() == 300'000);
  bool same = true;
  for (int i = 0; i < 300'000; ++i)
    same &= context.rows.all[static_cast<std::size_t>(i)].text == std::to_string(i) + "|row\n" + std::to_string(i);
  CHECK(same);
  CHECK(context.rows.all[299'999].key != context.rows.all[0].key);
}

TEST_CASE("columns are inferred from samples") {
  TempDir dir;
  Env env = real_env();
  auto infer = [&](const std::string& connector, const std::string& name, const std::string& content) {
    auto settings =
        FileReadSettings::from(connector, decoded(connector, static_args(dir.write(name, content))), *env.disk);
    REQUIRE(settings);
    auto inferred = infer_fields(*settings, *env.disk);
    REQUIRE(inferred);
    std::string out;
    for (const auto& f : inferred->fields) out += f.name + ":" + f.type.to_text() + " ";
    return out;
  };
  CHECK(infer("io.csv.read", "a.csv", "i,f,s,b,zip,o\n1,1,x,true,01234,\n2,2.5,3,False,1,7\n") ==
        "i:int f:float s:str b:bool zip:str o:int | None ");
  CHECK(infer("io.jsonlines.read", "b.jsonl",
              "{\"i\":1,\"f\":1,\"n\":null,\"d\":{}}\n{\"i\":2,\"f\":2.5,\"m\":\"x\",\"d\":1,\"n\":true}\n") ==
        "i:int f:float n:bool | None d:json m:str | None ");
  CHECK(infer("io.csv.read", "c.csv", "") == "");
}

TEST_CASE("names match patterns") {
  CHECK(matches_name("*.csv", "a.csv"));
  CHECK(matches_name("a?c*", "abcdef"));
  CHECK(matches_name("[a-c][!x]*", "bq"));
  CHECK_FALSE(matches_name("[a-c][!x]*", "bx"));
  CHECK_FALSE(matches_name("*.csv", "a.csv.gz"));
  CHECK(matches_name("*a*b*c", "xxaxxbxxc"));
}

}  // namespace thalweg
