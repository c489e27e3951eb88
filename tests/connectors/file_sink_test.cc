#include <catch2/catch.hpp>

#include <algorithm>

#include "connectors/file/output_file.h"
#include "connectors/null/sink.h"
#include "connectors/registry.h"
#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Texts = std::vector<std::string>;

namespace {

const Schema kSchema{{{"w", Kind::kStr}, {"n", Type(Kind::kInt, true)}, {"f", Kind::kFloat}}};

Batch batch_of(std::vector<std::tuple<std::string, Value, double, Diff>> rows) {
  BatchBuilder builder(kSchema);
  std::uint64_t i = 0;
  for (auto& [w, n, f, diff] : rows)
    builder.push(Key{0, ++i}, std::vector<Value>{Value::str(w), n, Value::of(f)}, diff);
  return builder.finish();
}
Value n(std::int64_t v) { return Value::of(v); }

struct Made {
  Env env = real_env();
  std::unique_ptr<Sink> sink;
};

Result<Made> make(const std::string& connector, Setting given, const Schema& schema = kSchema) {
  Made made;
  plan::Output output{.connector = connector, .args = decoded(connector, given), .name = "out"};
  made.sink = TRY(make_connector_factory()->make_sink(output, schema, made.env));
  return made;
}

void open(Made& made) {
  auto done = made.sink->open({&made.env, kSchema, "out"});
  INFO((done ? "" : done.error().message));
  REQUIRE(done);
}

void commit(Sink& sink, std::uint64_t time, const Batch& batch) {
  REQUIRE(sink.begin(time));
  REQUIRE(sink.write(time, batch));
  REQUIRE(sink.end(time));
}

}  // namespace

TEST_CASE("csv sink: changes with time and diff; the old file stays until the first commit") {
  TempDir dir;
  dir.write("out.csv", "old");
  auto made = make("io.csv.write", args({{"filename", text(dir.path("out.csv"))}}));
  REQUIRE(made);
  open(*made);
  CHECK(dir.read("out.csv") == "old");
  commit(*made->sink, 2, batch_of({{"a \"b\"", n(1), 1, 1}, {"x,y", Value::none(), 2.5, 1}}));
  CHECK(dir.read("out.csv") == "w,n,f,time,diff\n\"a \"\"b\"\"\",1,1.0,2,1\n\"x,y\",None,2.5,2,1\n");
  commit(*made->sink, 4, batch_of({{"x,y", Value::none(), 2.5, -1}}));
  CHECK(dir.read("out.csv").ends_with("\"x,y\",None,2.5,4,-1\n"));
  REQUIRE(made->sink->close(true));
  CHECK(dir.names() == Texts{"out.csv"});
}

TEST_CASE("csv sink: an empty run leaves a header, an abandoned one leaves the old file") {
  TempDir dir;
  auto made = make("io.csv.write", args({{"path", text(dir.path("sub/out.csv"))}, {"quoting", text("minimal")}}));
  open(*made);
  REQUIRE(made->sink->close(true));
  CHECK(dir.read("sub/out.csv") == "w,n,f,time,diff\n");
  made = make("io.csv.write", args({{"path", text(dir.path("sub/out.csv"))}}));
  open(*made);
  REQUIRE(made->sink->close(false));
  made->sink.reset();
  CHECK(dir.read("sub/out.csv") == "w,n,f,time,diff\n");
}

TEST_CASE(
    "O1: what a killed run left beside an output goes at its next start, and nothing that is another's or in use") {
  TempDir dir;
  const std::string type = GENERATE("stream_of_changes", "snapshot");
  const std::string path = dir.path("out.csv");
  const std::string owner = owner_of_output("", "out", path);
  const std::string others = owner_of_output("another", "out", path);
  const std::string left = ".out.csv." + owner + "-0123456789abcdef.tmp";
  const std::string used = ".out.csv." + owner + "-fedcba9876543210.tmp";
  const std::string foreign = ".out.csv." + others + "-0123456789abcdef.tmp";
  for (const std::string& name : {left, used, foreign, std::string(".out.csv.0123456789abcdef.tmp")})
    dir.write(name, "w,n\n");
  auto made = make("io.csv.write", args({{"path", text(path)}, {"output_table_type", text(type)}}));
  REQUIRE(made);
  auto lock = made->env.disk->lock(dir.path(used));
  REQUIRE(lock);
  open(*made);
  Texts names = dir.names();
  std::erase_if(names, [&](const std::string& name) {
    return name != left && name != used && name != foreign && name != ".out.csv.0123456789abcdef.tmp";
  });
  Texts expected = {".out.csv.0123456789abcdef.tmp", used, foreign};
  std::ranges::sort(names);
  std::ranges::sort(expected);
  CHECK(names == expected);
  // What this one is at stays while another start looks.
  const Texts before = dir.names();
  remove_left_over(made->env, path, owner);
  CHECK(dir.names() == before);
  commit(*made->sink, 2, batch_of({{"a", n(1), 1, 1}}));
  REQUIRE(made->sink->close(true));
  lock->reset();
  remove_left_over(made->env, path, owner);
  Texts after = dir.names();
  std::ranges::sort(after);
  expected = {".out.csv.0123456789abcdef.tmp", foreign, "out.csv"};
  std::ranges::sort(expected);
  CHECK(after == expected);
}

TEST_CASE("jsonlines sink: append goes on, fail refuses") {
  TempDir dir;
  std::string path = dir.write("out.jsonl", "{\"old\":1}\n");
  auto made = make("io.jsonlines.write", args({{"path", text(path)}, {"on_existing", text("append")}}));
  open(*made);
  commit(*made->sink, 2, batch_of({{"a\n", n(1), 1, 1}}));
  REQUIRE(made->sink->close(true));
  CHECK(dir.read("out.jsonl") == "{\"old\":1}\n{\"w\":\"a\\n\",\"n\":1,\"f\":1.0,\"diff\":1,\"time\":2}\n");
  made = make("io.jsonlines.write", args({{"path", text(path)}, {"on_existing", text("fail")}}));
  CHECK(made->sink->open({&made->env, kSchema, "out"}).error().message ==
        "'" + path + "' exists already (`on_existing: fail`)");
}

TEST_CASE("K2: a snapshot is the table as it is now") {
  TempDir dir;
  auto made = make("io.csv.write", args({{"path", text(dir.path("s.csv"))},
                                         {"output_table_type", text("snapshot")},
                                         {"min_interval_ms", Setting(std::int64_t{0})}}));
  REQUIRE(made);
  open(*made);
  commit(*made->sink, 2, batch_of({{"b", n(1), 1, 1}, {"a", n(2), 1, 1}, {"a", n(2), 1, 1}}));
  CHECK(dir.read("s.csv") == "w,n,f\n\"a\",2,1.0\n\"a\",2,1.0\n\"b\",1,1.0\n");
  commit(*made->sink, 4, batch_of({{"b", n(1), 1, -1}, {"a", n(2), 1, -1}}));
  CHECK(dir.read("s.csv") == "w,n,f\n\"a\",2,1.0\n");
  REQUIRE(made->sink->close(true));
}

TEST_CASE("K2: a snapshot with an interval is written at once, then at most that often, and at the end") {
  TempDir dir;
  auto made = make("io.jsonlines.write", args({{"path", text(dir.path("s.jsonl"))},
                                               {"output_table_type", text("snapshot")},
                                               {"min_interval_ms", Setting(std::int64_t{60'000})}}));
  open(*made);
  commit(*made->sink, 2, batch_of({{"a", n(1), 1, 1}}));
  CHECK(dir.read("s.jsonl") == "{\"w\":\"a\",\"n\":1,\"f\":1.0}\n");
  commit(*made->sink, 4, batch_of({{"a", n(1), 1, -1}}));
  CHECK(dir.read("s.jsonl") == "{\"w\":\"a\",\"n\":1,\"f\":1.0}\n");
  REQUIRE(made->sink->close(true));
  CHECK(dir.read("s.jsonl").empty());
}

TEST_CASE("rotation begins a new file between commits") {
  TempDir dir;
  auto made = make("io.csv.write", args({{"path", text(dir.path("out-{time}.csv"))},
                                         {"rotate", args({{"max_bytes", Setting(std::int64_t{1})}})}}));
  REQUIRE(made);
  open(*made);
  commit(*made->sink, 2, batch_of({{"a", n(1), 1, 1}}));
  timespec pause{0, 3'000'000};
  nanosleep(&pause, nullptr);
  commit(*made->sink, 4, batch_of({{"b", n(1), 1, 1}}));
  REQUIRE(made->sink->close(true));
  auto names = dir.names();
  REQUIRE(names.size() == 2);
  CHECK(dir.read(names[0]) == "w,n,f,time,diff\n\"a\",1,1.0,2,1\n");
  CHECK(dir.read(names[1]) == "w,n,f,time,diff\n\"b\",1,1.0,4,1\n");
  CHECK(make("io.csv.write", args({{"path", text("x.csv")}, {"rotate", args({{"every", text("1h")}})}}))
            .error()
            .message.find("needs `{time}`") != std::string::npos);
}

TEST_CASE("rows of a commit in the order that sort_by asks for") {
  TempDir dir;
  auto made = make("io.csv.write",
                   args({{"path", text(dir.path("o.csv"))}, {"sort_by", text("this.n")}, {"header", Setting(false)}}));
  REQUIRE(made);
  open(*made);
  REQUIRE(made->sink->write(2, batch_of({{"c", n(3), 1, 1}, {"a", n(1), 1, 1}})));
  REQUIRE(made->sink->write(2, batch_of({{"b", n(2), 1, 1}})));
  REQUIRE(made->sink->end(2));
  CHECK(dir.read("o.csv") == "\"a\",1,1.0,2,1\n\"b\",2,1.0,2,1\n\"c\",3,1.0,2,1\n");
  CHECK(make("io.csv.write", args({{"path", text("x.csv")}, {"sort_by", text("q")}})).error().message ==
        "`sort_by` names column `q`, which the table does not have");
}

TEST_CASE("a column `time` does not go with a stream of changes") {
  Schema schema{{{"time", Kind::kInt}}};
  CHECK(make("io.csv.write", args({{"path", text("x.csv")}}), schema).error().message ==
        "the table has a column `time`, and a stream of changes adds one of that name");
  CHECK(make("io.csv.write", args({{"path", text("x.csv")}, {"output_table_type", text("snapshot")}}), schema));
}

TEST_CASE("stdout: aligned tables") {
  std::string out;
  StdoutSink sink(kSchema, true, [&](std::string_view part) -> Result<void> {
    out += part;
    return {};
  });
  commit(sink, 2, batch_of({{"word", n(1), 1, 1}, {"é", Value::none(), 2.5, -1}}));
  CHECK(out ==
        "w    | n    | f   | __time__ | __diff__\n"
        "word | 1    | 1.0 | 2        | 1\n"
        "é    | None | 2.5 | 2        | -1\n");
}

}  // namespace thalweg
