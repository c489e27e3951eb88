#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

#include "connectors/net/event_loop.h"
#include "connectors/net/http_server.h"
#include "connectors/registry.h"
#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Texts = std::vector<std::string>;

namespace {

Setting shell(const std::string& line) { return Setting(Setting::List{text("/bin/sh"), text("-c"), text(line)}); }

plan::Source source_of(const std::string& line, std::vector<plan::SourceField> fields, Setting::Map more = {}) {
  plan::Source source;
  source.connector = "io.exec.read";
  source.name = "program";
  Setting::Map given{{"command", shell(line)}, {"restart_delay", text("1ms")}};
  for (auto& entry : more) given.push_back(std::move(entry));
  source.args = decoded("io.exec.read", Setting(std::move(given)));
  source.fields = std::move(fields);
  return source;
}

struct Ran {
  Result<void> result;
  Texts rows;
  Texts bad;
  Texts positions;
  Texts warnings;
};

Ran run(const plan::Source& source, std::string position = {}) {
  Env env = real_env();
  auto made = make_source(source, env);
  REQUIRE(made);
  CollectContext context(types_of(source));
  context.resume_at(std::move(position));
  context.on_wait = [](CollectContext&, std::size_t) {};  // waiting takes no time
  Ran out;
  out.result = (*made)->run(context);
  for (const Row& row : context.rows.all) out.rows.push_back((row.diff > 0 ? "+" : "-") + row.text);
  out.bad = context.rows.messages();
  out.positions = context.positions;
  out.warnings = context.warnings;
  return out;
}

const char* const kGreeting = "read -r start; read -r next; ";

}  // namespace

TEST_CASE("io.exec.read: rows, commits and the end") {
  const std::string program = std::string(kGreeting) +
                              "echo '{\"insert\": {\"a\": 1, \"b\": \"x\"}}'; echo '{\"commit\": {\"page\": 1}}'; "
                              "echo '{\"insert\": {\"a\": 2, \"b\": \"y\"}}'; echo '{\"commit\": 2}'";
  const Ran ran = run(source_of(program, {field("a", Kind::kInt), field("b", Kind::kStr)}));
  REQUIRE(ran.result);
  CHECK(ran.rows == Texts{"+1|x", "+2|y"});
  REQUIRE(ran.positions.size() >= 2);
  CHECK(ran.positions[0] == "{\"page\": 1}");
  CHECK(ran.positions[1] == "2");
}

TEST_CASE("io.exec.read: a program is told where to go on") {
  const std::string echo =
      "while read -r line; do case $line in *read*) exit 0;; *) n=$((n + 1)); "
      "echo \"{\\\"insert\\\": {\\\"a\\\": $line}}\";; esac; done";
  CHECK(run(source_of(echo, {field("a", Kind::kJson)})).rows == Texts{"+{\"event\":\"start\"}"});
  CHECK(run(source_of(echo, {field("a", Kind::kJson)}), "{\"page\":7}").rows ==
        Texts{"+{\"event\":\"start\"}", "+{\"event\":\"on_persisted_run\"}",
              "+{\"event\":\"seek\",\"offset\":{\"page\":7}}"});
}

TEST_CASE("io.exec.read: deletions by primary key, by key and by content") {
  const auto rows = [](const std::string& messages, std::vector<plan::SourceField> fields, bool deletions,
                       bool upsert = false) {
    plan::Source source =
        source_of("printf '" + messages + "'", std::move(fields), {{"deletions_enabled", Setting(deletions)}});
    source.upsert = upsert;
    Env env = real_env();
    auto made = make_source(source, env);
    REQUIRE(made);
    CollectContext context(types_of(source));
    REQUIRE((*made)->run(context));
    std::map<Key, int> net;
    for (const Row& row : context.rows.all) net[row.key] += row.diff;
    std::erase_if(net, [](const auto& entry) { return entry.second == 0; });
    return std::pair(context.rows.all.size(), net.size());
  };
  using Counts = std::pair<std::size_t, std::size_t>;
  CHECK(rows("{\"insert\":{\"k\":1,\"v\":2}}\\n{\"delete\":{\"k\":1}}\\n",
             {key_field("k", Kind::kInt), field("v", Kind::kInt)}, false, true) == Counts{2, 0});
  CHECK(rows("{\"insert\":{\"v\":2},\"key\":\"a\"}\\n{\"delete\":{\"v\":2},\"key\":\"a\"}\\n", {field("v", Kind::kInt)},
             true) == Counts{2, 0});
  CHECK(rows("{\"insert\":{\"v\":2}}\\n{\"insert\":{\"v\":2}}\\n{\"delete\":{\"v\":2}}\\n", {field("v", Kind::kInt)},
             true) == Counts{3, 1});
  CHECK(rows("{\"delete\":{\"v\":2}}\\n", {field("v", Kind::kInt)}, true) == Counts{0, 0});
}

TEST_CASE("io.exec.read: a deletion that was not announced fails the source") {
  const Ran ran = run(source_of("echo '{\"delete\": {\"a\": 1}}'", {field("a", Kind::kInt)}));
  REQUIRE_FALSE(ran.result);
  CHECK(ran.result.error().message.find("deletions_enabled: true") != std::string::npos);
}

TEST_CASE("io.exec.read: bad messages are reported with their line, and the rest is read") {
  const Ran ran =
      run(source_of("printf "
                    "'{\"insert\":{\"a\":1}}\\nnonsense\\n{\"what\":1}\\n{\"insert\":{\"a\":\"x\"}}\\n{\"insert\":{}}"
                    "\\n{\"insert\":{\"a\":2}}\\n'",
                    {field("a", Kind::kInt)}));
  REQUIRE(ran.result);
  CHECK(ran.rows == Texts{"+1", "+Error", "+Error", "+2"});
  CHECK(ran.bad == Texts{"program:2: no JSON object",
                         "program:3: a message has `insert`, `delete`, `commit` or `error`",
                         "program:4: column `a`: \"x\" is no `int`", "program:5: column `a` is missing"});
}

TEST_CASE("io.exec.read: a program that fails is started again at its last offset, without what it had not committed") {
  const TempDir dir;
  const std::string marker = dir.path("ran");
  const std::string program = std::string(kGreeting) + "if [ ! -e " + marker + " ]; then touch " + marker +
                              "; echo '{\"insert\":{\"a\":1}}'; echo '{\"commit\":5}'; echo '{\"insert\":{\"a\":99}}'; "
                              "echo no more >&2; exit 4; fi; "
                              "read -r seek; echo '{\"insert\":{\"a\":2}}'; echo '{\"commit\":6}'";
  const Ran ran = run(source_of(program, {field("a", Kind::kInt)}));
  REQUIRE(ran.result);
  CHECK(ran.rows == Texts{"+1", "+2"});
  REQUIRE(ran.warnings.size() == 1);
  CHECK(ran.warnings[0] == "`program` exited with status 4: no more; starting again in 1 ms");
}

TEST_CASE("io.exec.read: a program that fails every time ends the source, a static one at once") {
  const Ran often = run(source_of("exit 7", {field("a", Kind::kInt)}, {{"restarts", Setting(std::int64_t{2})}}));
  REQUIRE_FALSE(often.result);
  CHECK(often.result.error().message == "`program` exited with status 7 (after 3 attempts)");
  CHECK(often.warnings.size() == 2);
  const Ran once = run(source_of("exit 7", {field("a", Kind::kInt)}, {{"mode", text("static")}}));
  REQUIRE_FALSE(once.result);
  CHECK(once.result.error().message == "`program` exited with status 7");
  const Ran says =
      run(source_of("echo '{\"error\":\"no login\"}'; sleep 5", {field("a", Kind::kInt)}, {{"mode", text("static")}}));
  REQUIRE_FALSE(says.result);
  CHECK(says.result.error().message == "`program` says: no login");
}

TEST_CASE("the example that watches web pages: new, unchanged, changed and vanished pages") {
  std::string title = "One", tag = "v1";
  bool gone = false;
  net::EventLoop loop(1);
  auto server = net::HttpServer::listen(
      loop, {.host = "127.0.0.1", .port = 0, .unix_path = {}}, {}, [&](net::HttpRequest request, net::HttpReply reply) {
        net::HttpResponse response;
        const std::string* known = request.headers.find("If-None-Match");
        if (request.target == "/b" && gone)
          response.status = 404;
        else if (known != nullptr && *known == tag)
          response.status = 304;
        else
          response.body = "<html><title> " + title + "\n</title><a href='/x'>x</a></html>";
        response.headers.add("ETag", tag);
        reply.send(std::move(response));
      });
  REQUIRE(server);
  const std::string root = "http://127.0.0.1:" + std::to_string((*server)->address().port);
  plan::Source source = source_of(
      "exec python3 " THALWEG_SOURCE_ROOT "/config/examples/programs/scraper.py 0 " + root + "/a " + root + "/b",
      {key_field("url", Kind::kStr), field("title", Kind::kStr), field("links", Type::list(Kind::kStr))});
  source.upsert = true;
  const Ran first = run(source);
  REQUIRE(first.result);
  CHECK(first.rows == Texts{"+" + root + "/a|One|('/x',)", "+" + root + "/b|One|('/x',)"});
  REQUIRE_FALSE(first.positions.empty());
  const std::string position = first.positions.back();
  CHECK(position.find("v1") != std::string::npos);
  CHECK(run(source, position).rows.empty());
  gone = true;
  const Ran vanished = run(source, position);
  REQUIRE(vanished.rows.size() == 1);
  CHECK(vanished.rows[0].starts_with("-" + root + "/b"));
  title = "Two";
  tag = "v2";
  CHECK(run(source, position).rows == Texts{"+" + root + "/a|Two|('/x',)", "-" + root + "/b|None|None"});
}

TEST_CASE("io.exec.write: changes, commits, the end") {
  const TempDir dir;
  Env env = real_env();
  Schema schema;
  schema.columns = {{"a", Kind::kInt}, {"b", Kind::kStr}};
  const auto sink_of = [&](const std::string& line, Setting::Map more = {}) {
    plan::Output output;
    output.connector = "io.exec.write";
    output.name = "out";
    Setting::Map given{{"command", shell(line)}};
    for (auto& entry : more) given.push_back(std::move(entry));
    output.args = decoded("io.exec.write", Setting(std::move(given)));
    auto made = find_connector("io.exec.write")->make_sink(output, schema, env);
    REQUIRE(made);
    return std::move(*made);
  };
  BatchBuilder builder(schema);
  builder.push(key_of_values({Value::of(std::int64_t{1})}),
               std::vector<Value>{Value::of(std::int64_t{1}), Value::str("x\"y")}, -1);
  builder.push(key_of_values({Value::of(std::int64_t{2})}),
               std::vector<Value>{Value::of(std::int64_t{2}), Value::str("z")});
  const Batch batch = builder.finish();

  const auto plain = sink_of("cat > " + dir.path("out"));
  REQUIRE(plain->open({.env = &env, .schema = schema, .name = "out"}));
  REQUIRE(plain->write(4, batch));
  REQUIRE(plain->end(4));
  REQUIRE(plain->close(true));
  CHECK(dir.read("out") ==
        "{\"event\":\"start\",\"columns\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"b\",\"type\":\"str\"}]}\n"
        "{\"delete\":{\"a\":1,\"b\":\"x\\\"y\"},\"time\":4}\n{\"insert\":{\"a\":2,\"b\":\"z\"},\"time\":4}\n{"
        "\"commit\":4}\n{\"event\":\"end\"}\n");

  const auto careful = sink_of("while read -r l; do case $l in *commit*) echo '{\"committed\": 4}';; esac; done",
                               {{"acknowledge", Setting(true)}});
  REQUIRE(careful->open({.env = &env, .schema = schema, .name = "out"}));
  REQUIRE(careful->write(4, batch));
  CHECK(careful->end(4));
  CHECK(careful->close(true));

  const auto silent = sink_of("cat > /dev/null", {{"acknowledge", Setting(true)}, {"timeout", text("200ms")}});
  REQUIRE(silent->open({.env = &env, .schema = schema, .name = "out"}));
  const auto late = silent->end(4);
  REQUIRE_FALSE(late);
  CHECK(late.error().message == "`out` does not acknowledge commit 4 (`timeout`)");

  const auto broken = sink_of("read -r l; echo full disk >&2; exit 2");
  REQUIRE(broken->open({.env = &env, .schema = schema, .name = "out"}));
  Result<void> result;
  for (int round = 0; round < 5000 && result; ++round) {
    result = broken->write(4, batch);
    if (result) result = broken->end(4);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  REQUIRE_FALSE(result);
  CHECK(result.error().message == "`out` exited with status 2: full disk before its input ended");
}

}  // namespace thalweg
