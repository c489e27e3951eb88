// The REST surface over a fake run: routes, parameters, forms of rows, frontiers, streams.
#include <catch2/catch.hpp>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "connectors/net/http_client.h"
#include "daemon/query/ad_hoc.h"
#include "daemon/rest/auth.h"
#include "daemon/rest/rest_server.h"
#include "daemon/rest/row_json.h"
#include "tests/daemon/fake_run.h"

namespace thalweg::tests {
namespace {

using daemon::RestServer;
using nlohmann::json;

Key key_of(std::int64_t n) { return key_of_values({Value::str("w" + std::to_string(n))}); }

// words: word str, n int, x float | None; keyed by word.
struct Fixture {
  Fixture() {
    Schema schema{{{"word", Kind::kStr}, {"n", Kind::kInt}, {"x", Type(Kind::kFloat, true)}}};
    words = std::make_shared<FakeTable>("words", schema);
    run->tables.push_back(words);
    auto pipeline = std::make_shared<daemon::ServedPipeline>();
    pipeline->name = "demo";
    pipeline->plan = std::make_shared<plan::Plan>(make_plan(schema));
    pipeline->run = run;
    pipelines.pipelines.push_back(pipeline);
    auto listening =
        RestServer::listen({}, pipelines, real_env(), {.heartbeat_ms = 200}, {.min_frontier_ns_max = 300'000'000});
    REQUIRE(listening);
    server = std::move(*listening);
    client = std::make_unique<net::HttpClient>(server->address());
  }

  static plan::Plan make_plan(const Schema& schema) {
    plan::Plan plan;
    plan.name = "demo";
    plan::Source source;
    source.connector = "io.csv.read";
    for (const auto& column : schema.columns)
      source.fields.push_back({.name = column.name, .type = column.type, .primary_key = column.name == "word"});
    NodeId read = plan.add({.schema = schema, .params = source, .label = "$orders"});
    NodeId upsert = plan.add({.inputs = {read}, .schema = schema, .params = plan::Upsert{}});
    plan.add({.inputs = {upsert}, .params = plan::Export{.name = "words"}});
    return plan;
  }

  // Rows w0…w(n-1) with n = 10·i in commit 4.
  void fill(int rows) {
    std::vector<FakeTable::Update> updates;
    for (int i = 0; i < rows; ++i)
      updates.push_back(
          {key_of(i), {Value::str("w" + std::to_string(i)), Value::of(std::int64_t{10} * i), Value::of(0.5 * i)}});
    words->commit(4, updates);
  }

  net::HttpResponse get(const std::string& target) {
    auto response = client->get(target);
    REQUIRE(response);
    return *response;
  }
  json body(const std::string& target) {
    net::HttpResponse response = get(target);
    INFO(target << " → " << response.status << " " << response.body);
    CHECK(response.status == 200);
    return json::parse(response.body);
  }
  json problem(const std::string& target, unsigned status, const std::string& code) {
    net::HttpResponse response = get(target);
    INFO(target << " → " << response.status << " " << response.body);
    CHECK(response.status == status);
    CHECK(*response.headers.find("Content-Type") == "application/problem+json");
    json out = json::parse(response.body);
    CHECK(out["code"] == code);
    CHECK(out["status"] == status);
    return out;
  }
  static std::string table(const std::string& rest) { return "/api/v1/pipelines/demo/tables/words" + rest; }

  std::shared_ptr<FakeTable> words;
  std::shared_ptr<FakeRun> run = std::make_shared<FakeRun>();
  FakePipelines pipelines;
  std::unique_ptr<RestServer> server;
  std::unique_ptr<net::HttpClient> client;
};

// The events of a stream as (event, id, data), read on a thread of its own.
class Events {
 public:
  Events(const net::Address& address, std::string target, const std::string& last_id = "") {
    thread_ = std::thread([this, address, target = std::move(target), last_id] {
      net::HttpClient client(address);
      net::HttpRequest request{.method = "GET", .target = target};
      if (!last_id.empty()) request.headers.add("Last-Event-ID", last_id);
      auto response = client.stream(request, [this](std::string_view bytes) { return take(bytes); });
      std::lock_guard lock(mutex_);
      status_ = response ? response->status : 0;
    });
  }
  ~Events() {
    stop_ = true;
    thread_.join();
  }
  struct Event {
    std::string event, id, data;
  };
  // The first `n` events, once they are there.
  std::vector<Event> wait_for(std::size_t n) {
    for (int i = 0; i < 500; ++i) {
      {
        std::lock_guard lock(mutex_);
        if (events_.size() >= n) return events_;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL("only " << events_.size() << " events came");
    return {};
  }
  unsigned wait_for_end() {
    for (int i = 0; i < 500; ++i) {
      {
        std::lock_guard lock(mutex_);
        if (status_ != 1) return status_;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return 1;
  }

 private:
  bool take(std::string_view bytes) {
    std::lock_guard lock(mutex_);
    text_ += bytes;
    for (std::size_t end = text_.find("\n\n"); end != std::string::npos; end = text_.find("\n\n")) {
      add(text_.substr(0, end));
      text_.erase(0, end + 2);
    }
    return !stop_;
  }
  void add(const std::string& block) {
    Event event;
    std::istringstream lines(block);
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("event: ", 0) == 0) event.event = line.substr(7);
      if (line.rfind("id: ", 0) == 0) event.id = line.substr(4);
      if (line.rfind("data: ", 0) == 0) event.data = line.substr(6);
    }
    if (!event.event.empty()) events_.push_back(event);
  }
  std::mutex mutex_;
  std::string text_;
  std::vector<Event> events_;
  unsigned status_ = 1;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("health, readiness, version") {
  Fixture f;
  CHECK(f.body("/healthz")["status"] == "ok");
  CHECK(f.body("/version")["name"] == "thalweg");
  CHECK(f.body("/readyz")["ready"] == true);
  f.run->is_caught_up = false;
  CHECK(f.get("/readyz").status == 503);
  f.run->now = RunState::kFailed;
  net::HttpResponse failed = f.get("/readyz");
  CHECK(failed.status == 503);
  CHECK(json::parse(failed.body)["pipelines"][0]["failure"] == "the disk is full");
}

TEST_CASE("pipelines, tables, connectors, graph, frontier") {
  Fixture f;
  f.fill(5);
  CHECK(f.body("/api/v1/pipelines")["pipelines"][0]["name"] == "demo");
  json pipeline = f.body("/api/v1/pipelines/demo");
  CHECK(pipeline["state"] == "running");
  CHECK(pipeline["frontier"]["at"] == 5);
  json table = f.body("/api/v1/pipelines/demo/tables")["tables"][0];
  CHECK(table["name"] == "words");
  CHECK(table["num_rows"] == 5);
  CHECK(table["schema"][2]["type"] == "float | None");
  CHECK(table["key_columns"] == json::array({"word"}));
  CHECK(f.body(f.table(""))["frontier"]["at"] == 5);
  CHECK(f.body("/api/v1/pipelines/demo/connectors")["connectors"].size() == 2);
  CHECK(f.body("/api/v1/pipelines/demo/graph")["edges"].size() == 2);
  CHECK(f.body("/api/v1/pipelines/demo/guarantees")["outputs"].empty());
  CHECK(f.body("/api/v1/pipelines/demo/frontier")["output"]["at"] == 5);
}

TEST_CASE("A3: what does not exist is a problem with a hint") {
  Fixture f;
  f.problem("/nothing", 404, "no_such_path");
  CHECK(f.problem("/api/v1/pipelines/dema", 404, "no_such_pipeline")["hint"] == "did you mean `demo`?");
  CHECK(f.problem("/api/v1/pipelines/demo/tables/word", 404, "no_such_table")["hint"] == "did you mean `words`?");
  CHECK(f.problem(f.table("/rows?limt=3"), 400, "unknown_parameter")["hint"] == "did you mean `limit`?");
  f.problem(f.table("/rows?limit=3&limit=4"), 400, "repeated_parameter");
  f.problem("/healthz?verbose=1", 400, "unknown_parameter");
  net::HttpRequest request{.method = "DELETE", .target = "/healthz"};
  auto response = f.client->request(request);
  REQUIRE(response);
  CHECK(response->status == 405);
  CHECK(*response->headers.find("Allow") == "GET, HEAD");
}

TEST_CASE("rows come in key order, a page at a time, at one frontier") {
  Fixture f;
  f.fill(10);
  std::vector<std::string> seen;
  std::string cursor;
  do {
    json page = f.body(f.table("/rows?limit=4&keys=true" + cursor));
    CHECK(page["frontier"]["at"] == 5);
    for (const json& row : page["rows"]) seen.push_back(row["_key"]);
    cursor = page.contains("next_cursor") ? "&cursor=" + page["next_cursor"].get<std::string>() : "";
    // A commit between two pages does not show.
    if (seen.size() == 4) f.words->commit(6, {{key_of(99), {Value::str("w99"), Value::of(std::int64_t{0}), {}}}});
  } while (!cursor.empty());
  CHECK(seen.size() == 10);
  std::vector<std::string> expected;
  std::vector<Key> keys;
  for (int i = 0; i < 10; ++i) keys.push_back(key_of(i));
  std::sort(keys.begin(), keys.end());
  for (const Key& key : keys) expected.push_back(to_text(key));
  CHECK(seen == expected);
  CHECK(f.body(f.table("/rows"))["rows"].size() == 11);
}

TEST_CASE("a page of few rows that fit among many") {
  Fixture f;
  f.fill(20'000);
  json page = f.body(f.table("/rows?where=n+%25+50000+==+10&select=n&limit=3"));
  CHECK(page["rows"].size() == 3);
  json rest = f.body(
      f.table("/rows?where=n+%25+50000+==+10&select=n&limit=3&cursor=" + page["next_cursor"].get<std::string>()));
  CHECK(rest["rows"].size() == 1);
  CHECK_FALSE(rest.contains("next_cursor"));
}

TEST_CASE("a cursor whose history is gone, or of another query, is refused") {
  Fixture f;
  f.fill(10);
  std::string cursor = f.body(f.table("/rows?limit=4"))["next_cursor"];
  f.problem(f.table("/rows?limit=4&select=n&cursor=" + cursor), 400, "invalid_cursor");
  f.problem(f.table("/rows?cursor=zzz"), 400, "invalid_cursor");
  f.words->commit(6, {});
  f.words->forget_below(7);
  f.problem(f.table("/rows?limit=4&cursor=" + cursor), 410, "history_gone");
}

TEST_CASE("rows are filtered, ordered, and cut to columns") {
  Fixture f;
  f.fill(10);
  json rows = f.body(f.table("/rows?where=n+%3E=+50+and+word+!=+'w7'&order_by=-n&select=n"))["rows"];
  CHECK(rows == json::parse(R"([{"n":90},{"n":80},{"n":60},{"n":50}])"));
  json first = f.body(f.table("/rows?order_by=n&limit=3&select=word"));
  CHECK(first["rows"][2]["word"] == "w2");
  json second =
      f.body(f.table("/rows?order_by=n&limit=3&select=word&cursor=" + first["next_cursor"].get<std::string>()));
  CHECK(second["rows"][0]["word"] == "w3");
  CHECK(f.body(f.table("/rows?order_by=n+desc&limit=1"))["rows"][0]["n"] == 90);
  CHECK(f.body(f.table("/rows?k.n=30"))["rows"][0]["word"] == "w3");
}

TEST_CASE("wrong expressions, columns and numbers say where and what") {
  Fixture f;
  json problem = f.problem(f.table("/rows?where=n+%3E+nn"), 400, "invalid_expression");
  CHECK(problem["line"] == 1);
  CHECK(problem["column"] == 5);
  f.problem(f.table("/rows?where=n"), 400, "invalid_expression");
  f.problem(f.table("/rows?where=(((("), 400, "invalid_expression");
  CHECK(f.problem(f.table("/rows?select=wrod"), 400, "unknown_column")["hint"] == "did you mean `word`?");
  f.problem(f.table("/rows?order_by=-m"), 400, "unknown_column");
  f.problem(f.table("/rows?limit=0"), 400, "invalid_parameter");
  f.problem(f.table("/rows?limit=10001"), 400, "invalid_parameter");
  f.problem(f.table("/rows?limit=ten"), 400, "invalid_parameter");
  f.problem(f.table("/rows?key=abc"), 400, "invalid_parameter");
  f.problem(f.table("/rows?k.n=abc"), 400, "invalid_parameter");
  f.problem(f.table("/rows?at=soon"), 400, "invalid_parameter");
  f.problem(f.table("/snapshot?format=xml"), 400, "invalid_parameter");
}

TEST_CASE("Q1: keys are looked up, not scanned for") {
  Fixture f;
  f.fill(10);
  CHECK(f.body(f.table("/rows?key=" + net::percent_encode(to_text(key_of(3)))))["rows"][0]["word"] == "w3");
  CHECK(f.body(f.table("/rows?k.word=w4&keys=true"))["rows"][0]["_key"] == to_text(key_of(4)));
  CHECK(f.body(f.table("/rows?k.word=none"))["rows"].empty());
  CHECK(f.words->num_snapshots == 0);
  CHECK(f.body(f.table("/rows?k.word=w4&at=5"))["rows"].size() == 1);
  CHECK(f.body(f.table("/rows?at=5&key=" + net::percent_encode(to_text(key_of(3)))))["rows"][0]["word"] == "w3");
  CHECK(f.body(f.table("/rows?at=4&key=" + net::percent_encode(to_text(key_of(3)))))["rows"].empty());
  CHECK(f.words->num_snapshots == 0);
}

TEST_CASE("forms of cells") {
  Fixture f;
  auto table = std::make_shared<FakeTable>("kinds", Schema{{{"i", Kind::kInt},
                                                            {"f", Kind::kFloat},
                                                            {"s", Kind::kStr},
                                                            {"b", Kind::kBytes},
                                                            {"p", Kind::kPointer},
                                                            {"t", Kind::kDateTimeUtc},
                                                            {"d", Kind::kDuration},
                                                            {"j", Kind::kJson},
                                                            {"l", Type::list(Kind::kInt)},
                                                            {"e", Type(Kind::kInt, true)}}});
  f.run->tables.push_back(table);
  table->commit(2, {{key_of(1),
                     {Value::of(std::int64_t{9007199254740993}), Value::of(std::nan("")), Value::str("a\"\n\x01"),
                      Value::bytes(std::string("\0\xff", 2)), Value::of(key_of(1)), Value::datetime_utc(1'500'000'000),
                      Value::duration(5'400'500'000'000), Value::json(R"({"a":[1,null]})"),
                      Value::tuple({Value::of(std::int64_t{1})}), Value::error()}}});
  std::string path = "/api/v1/pipelines/demo/tables/kinds/rows";
  json row = f.body(path)["rows"][0];
  CHECK(row["i"] == 9007199254740993);
  CHECK(row["f"] == "NaN");
  CHECK(row["s"] == "a\"\n\x01");
  CHECK(row["b"] == "AP8=");
  CHECK(row["p"] == to_text(key_of(1)));
  CHECK(row["t"] == "1970-01-01T00:00:01.500Z");
  CHECK(row["d"] == "PT1H30M0.500S");
  CHECK(row["j"] == json::parse(R"({"a":[1,null]})"));
  CHECK(row["l"] == json::parse("[1]"));
  CHECK(row["e"].is_null());
  CHECK(row["_errors"] == json::array({"e"}));
  CHECK_FALSE(row.contains("_key"));
  CHECK(f.body(path + "?int64=string")["rows"][0]["i"] == "9007199254740993");
  CHECK(f.body(path + "?select=_key,i")["rows"][0]["_key"] == to_text(key_of(1)));
}

TEST_CASE("A1: a snapshot at a frontier, in every format") {
  Fixture f;
  f.fill(4);
  f.words->commit(6, {{key_of(0), {Value::str("w0"), Value::of(std::int64_t{0}), Value::of(0.0)}, -1},
                      {key_of(0), {Value::str("w0"), Value::of(std::int64_t{1}), {}}}});
  net::HttpResponse now = f.get(f.table("/snapshot"));
  CHECK(*now.headers.find("X-Thalweg-Frontier") == "7");
  CHECK(json::parse(now.body)["rows"].size() == 4);
  CHECK(json::parse(now.body)["rows"][0].contains("_key"));
  net::HttpResponse before = f.get(f.table("/snapshot?at=4"));
  CHECK(json::parse(before.body)["rows"].empty());
  std::string csv = f.get(f.table("/snapshot?at=5&format=csv")).body;
  CHECK(csv.find("_key,word,n,x\n") == 0);
  CHECK(csv.find(",w0,0,0.0\n") != std::string::npos);
  std::string lines = f.get(f.table("/snapshot?format=jsonl&select=word,n")).body;
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 4);
  CHECK(lines.find(R"("word":"w0","n":1})") != std::string::npos);
  f.problem(f.table("/snapshot?at=8"), 409, "frontier_not_reached");
  f.problem(f.table("/snapshot?at=done"), 409, "frontier_not_reached");
  f.words->commit(kEndCommit, {}, true);
  CHECK(*f.get(f.table("/snapshot?at=done")).headers.find("X-Thalweg-Frontier") == "done");
}

TEST_CASE("a diff says what changed, and its rows add up to the later snapshot") {
  Fixture f;
  f.fill(3);
  f.words->commit(6, {{key_of(0), {Value::str("w0"), Value::of(std::int64_t{0}), Value::of(0.0)}, -1}});
  json diff = f.body(f.table("/diff?from=5"));
  CHECK(diff["from"]["at"] == 5);
  CHECK(diff["to"]["at"] == 7);
  REQUIRE(diff["changes"].size() == 1);
  CHECK(diff["changes"][0]["time"] == 6);
  CHECK(diff["changes"][0]["diff"] == -1);
  CHECK(diff["changes"][0]["row"]["word"] == "w0");
  CHECK(f.body(f.table("/diff?from=0&to=5"))["changes"].size() == 3);
  CHECK(f.body(f.table("/diff?from=7&to=7"))["changes"].empty());
  CHECK(f.get(f.table("/diff?from=0&format=csv")).body.find("_time,_diff,_key,word,n,x\n4,1,") == 0);
  f.problem(f.table("/diff"), 400, "missing_parameter");
  f.problem(f.table("/diff?from=7&to=5"), 400, "invalid_parameter");
  f.words->forget_below(6);
  f.problem(f.table("/diff?from=4"), 410, "history_gone");
}

TEST_CASE("A2: min_frontier waits for the commit, and not for ever") {
  Fixture f;
  f.fill(1);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    f.words->commit(6, {{key_of(1), {Value::str("w1"), Value::of(std::int64_t{1}), {}}}});
  });
  CHECK(f.body(f.table("/rows?min_frontier=6"))["rows"].size() == 2);
  later.join();
  f.problem(f.table("/rows?min_frontier=100"), 504, "frontier_not_reached");
  CHECK(f.words->num_subscribers() == 0);
}

TEST_CASE("changes: a snapshot, then updates and progress, and resuming after an event") {
  Fixture f;
  f.fill(2);
  Events events(f.server->address(), f.table("/changes?snapshot=true"));
  auto begin = events.wait_for(3);
  CHECK(begin[0].event == "snapshot");
  CHECK(json::parse(begin[0].data)["row"].contains("word"));
  CHECK(begin[2].event == "progress");
  CHECK(begin[2].id == "5");
  f.words->commit(6, {{key_of(7), {Value::str("w7"), Value::of(std::int64_t{7}), {}}}});
  auto more = events.wait_for(5);
  CHECK(more[3].event == "update");
  CHECK(json::parse(more[3].data)["time"] == 6);
  CHECK(json::parse(more[3].data)["diff"] == 1);
  CHECK(more[4].id == "7");
  f.words->commit(8, {});  // a commit without changes still moves the frontier
  CHECK(events.wait_for(6)[5].id == "9");

  Events resumed(f.server->address(), f.table("/changes?snapshot=true"), "5");
  auto again = resumed.wait_for(2);
  CHECK(again[0].event == "update");
  CHECK(again[1].event == "progress");
  f.words->commit(kEndCommit, {}, true);
  CHECK(resumed.wait_for_end() == 200);
  CHECK(events.wait_for_end() == 200);
  Events after(f.server->address(), f.table("/changes"), "done");
  CHECK(after.wait_for_end() == 204);
}

TEST_CASE("changes: lost history is a reset, then a new snapshot if one was asked for") {
  Fixture f;
  f.fill(2);
  f.words->commit(6, {});
  f.words->forget_below(7);
  Events events(f.server->address(), f.table("/changes?snapshot=true"), "3");
  auto got = events.wait_for(4);
  CHECK(got[0].event == "reset");
  CHECK(json::parse(got[0].data)["oldest"]["at"] == 7);
  CHECK(got[1].event == "snapshot");
  CHECK(got[3].event == "progress");
  Events other_run(f.server->address(), f.table("/changes"), "1000");
  CHECK(other_run.wait_for(1)[0].event == "reset");
  f.words->commit(kEndCommit, {}, true);
}

TEST_CASE("changes: a run that stops ends the stream") {
  Fixture f;
  Events events(f.server->address(), f.table("/changes"));
  events.wait_for(1);
  f.run->now = RunState::kFailed;
  auto got = events.wait_for(2);  // at the latest with the heartbeat
  CHECK(got[1].event == "end");
  CHECK(json::parse(got[1].data)["failure"] == "the disk is full");
  CHECK(events.wait_for_end() == 200);
}

TEST_CASE("a commit wakes a waiting reader; it does not look again after a while") {
  Fixture f;
  f.fill(1);
  Events events(f.server->address(), f.table("/changes"));
  events.wait_for(1);
  std::vector<double> ms;
  for (Commit time = 6; time < 106; time += 2) {
    auto begin = std::chrono::steady_clock::now();
    std::thread wait([&] { f.body(f.table("/rows?min_frontier=" + std::to_string(time + 1))); });
    f.words->commit(time, {});
    wait.join();
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(ms.begin(), ms.end());
  INFO("p50 " << ms[ms.size() / 2] << " ms");
  CHECK(ms[ms.size() / 2] < 200);
  f.words->commit(kEndCommit, {}, true);
}

TEST_CASE("ad-hoc SQL sees all tables at one frontier, in the order it asks for") {
  Fixture f;
  f.fill(20);
  auto ask = [&](const json& body, const std::string& parameters = "") {
    net::HttpRequest request{.method = "POST", .target = "/api/v1/query" + parameters};
    request.body = body.dump();
    auto response = f.client->request(request);
    REQUIRE(response);
    return *response;
  };
  net::HttpResponse answer =
      ask({{"pipeline", "demo"}, {"sql", "SELECT word, n FROM words WHERE n >= 170 ORDER BY n DESC"}});
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  CHECK(*answer.headers.find("X-Thalweg-Frontier") == "5");
  json body = json::parse(answer.body);
  CHECK(body["rows"] == json::parse(R"([{"word":"w19","n":190},{"word":"w18","n":180},{"word":"w17","n":170}])"));
  CHECK(body["columns"][1] == json::parse(R"({"name":"n","type":"int"})"));
  CHECK(body["truncated"] == false);
  CHECK(ask({{"sql", "SELECT COUNT(*) AS c FROM words"}, {"at", 3}}).body.find(R"("c":0)") != std::string::npos);
  CHECK(ask({{"sql", "SELECT 1 AS one"}}).status == 200);
  CHECK(ask({{"sql", "SELECT n FROM words ORDER BY word LIMIT 2"}}, "?format=csv").body == "n\n0\n10\n");
  net::HttpResponse cut = ask({{"sql", "SELECT n FROM words UNION ALL SELECT n FROM words ORDER BY n"}, {"limit", 3}});
  CHECK(json::parse(cut.body)["truncated"] == true);
  CHECK(json::parse(cut.body)["rows"] == json::parse(R"([{"n":0},{"n":0},{"n":10}])"));
  json wrong = json::parse(ask({{"sql", "SELECT wrod FROM words"}}).body);
  CHECK(wrong["code"] == "invalid_query");
  CHECK(wrong["column"] == 8);
  CHECK(json::parse(ask({{"sql", "SELECT 1 AS a"}, {"limt", 3}}).body)["hint"] == "did you mean `limit`?");
  CHECK(ask({{"sql", "SELECT 1 AS a"}, {"at", 1000}, {"pipeline", "demo"}}).status == 200);  // reads no table
  CHECK(ask({{"sql", "SELECT n FROM words"}, {"at", 1000}}).status == 409);
  CHECK(ask({{"pipeline", "nobody"}, {"sql", "SELECT 1 AS a"}}).status == 404);
}

TEST_CASE("an ad-hoc query has limits of time and memory") {
  Fixture f;
  f.fill(2000);
  daemon::QueryLimits limits{.time_ns = 50'000'000};
  daemon::SqlQuery query{.sql = "SELECT COUNT(*) AS c FROM words a, words b, words c, words d", .at = std::nullopt};
  auto slow = daemon::run_sql(query, *f.pipelines.pipelines[0], limits, real_env());
  REQUIRE(!slow);
  CHECK(slow.error().code == "query_timeout");
  query.sql = "SELECT n FROM words";
  auto large =
      daemon::run_sql(query, *f.pipelines.pipelines[0], {.time_ns = 10'000'000'000, .state_bytes = 1000}, real_env());
  REQUIRE(!large);
  CHECK(large.error().code == "query_too_large");
}

TEST_CASE("pages of other sites cannot post") {
  Fixture f;
  net::HttpRequest request{.method = "POST", .target = "/api/v1/query"};
  request.body = R"({"sql": "SELECT 1 AS a"})";
  request.headers.add("Origin", "http://evil.example");
  auto response = f.client->request(request);
  REQUIRE(response);
  CHECK(response->status == 403);
}

TEST_CASE("digests and credentials") {
  CHECK(daemon::sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(daemon::sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(daemon::sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(daemon::base64_decoded("ZXZlOnNlY3JldA==") == "eve:secret");
  CHECK_FALSE(daemon::base64_decoded("a*b"));
}

TEST_CASE("errors say what, where and which row") {
  Fixture f;
  auto files = std::make_shared<FileTable>();
  FileId id = files->add("demo.yaml", "a: 1\nb: x / y\n");
  f.pipelines.pipelines[0]->files = files;
  f.run->data_errors.push_back({.kind = ErrorKind::kValue,
                                .message = "division by zero",
                                .node = NodeId{0},
                                .span = {id, 8, 13},
                                .key = key_of(1),
                                .commit = 4});
  json error = f.body("/api/v1/pipelines/demo/errors")["errors"][0];
  CHECK(error["message"] == "division by zero");
  CHECK(error["operator"] == "$orders");
  CHECK(error["file"] == "demo.yaml");
  CHECK(error["line"] == 2);
  CHECK(error["column"] == 4);
  CHECK(error["key"] == to_text(key_of(1)));
}

TEST_CASE("metrics are Prometheus text with the names of the contract") {
  Fixture f;
  f.fill(3);
  f.body("/healthz");
  std::string text = f.get("/metrics").body;
  CHECK(text.find("thalweg_source_rows_total{pipeline=\"demo\",connector=\"orders\",kind=\"io.csv.read\"} 7\n") !=
        std::string::npos);
  CHECK(text.find("thalweg_table_rows{pipeline=\"demo\",table=\"words\"} 3\n") != std::string::npos);
  CHECK(text.find("thalweg_http_requests_total{route=\"/healthz\",status=\"2xx\"} 1\n") != std::string::npos);
  CHECK(text.find("thalweg_process_resident_bytes ") != std::string::npos);
}

TEST_CASE("the OpenAPI document has every route and parameter") {
  Fixture f;
  json document = f.body("/openapi.json");
  CHECK(document["openapi"] == "3.1.0");
  for (const daemon::Route& route : daemon::Api::routes()) {
    INFO(route.path);
    CHECK(document["paths"].contains(std::string(route.path)));
  }
  json rows = document["paths"]["/api/v1/pipelines/{p}/tables/{t}/rows"]["get"];
  CHECK(rows["operationId"] == "listRows");
  CHECK(rows["parameters"].size() == 13);
}

TEST_CASE("pages are served, and requests under a foreign name are not") {
  Fixture f;
  CHECK(f.get("/").body.find("<title>Thalweg</title>") != std::string::npos);
  CHECK(f.get("/docs").body.find("/snapshot") != std::string::npos);
  net::HttpRequest request{.method = "GET", .target = "/healthz"};
  request.headers.add("Host", "evil.example");
  auto response = f.client->request(request);
  REQUIRE(response);
  CHECK(response->status == 421);
}

TEST_CASE("ISO datetimes and durations") {
  CHECK(daemon::iso_datetime(0, false) == "1970-01-01T00:00:00");
  CHECK(daemon::iso_datetime(-1, true) == "1969-12-31T23:59:59.999999999Z");
  CHECK(daemon::iso_duration(0) == "PT0S");
  CHECK(daemon::iso_duration(86'400'000'000'000) == "P1D");
  CHECK(daemon::iso_duration(-90'000'000'000) == "-PT1M30S");
  CHECK(daemon::iso_duration(1'500'000) == "PT0.001500S");
  CHECK(daemon::iso_duration(INT64_MIN).front() == '-');
}

}  // namespace thalweg::tests
