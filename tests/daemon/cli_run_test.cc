// `thalweg run` from outside: what it reads, writes, says and returns.
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "connectors/net/http_client.h"
#include "tests/daemon/process.h"

namespace thalweg::tests {

using Catch::Contains;
using nlohmann::json;

namespace {

std::string counts(const std::string& mode) {
  return "$words: !io.csv.read\n  path: ./in\n  mode: " + mode +
         "\n  schema: !schema_from_types {word: str, n: int}\n"
         "counts: !groupby\n  table: $words\n  by: [word]\n  reduce: {total: sum(n)}\n"
         "out: !io.csv.write {table: $counts, filename: ./out.csv}\n";
}

// Waits for the line that says where it listens.
net::Address listening(const Process& process) {
  for (int i = 0; i < 1000; ++i) {
    std::string err = process.err_so_far();
    std::size_t at = err.find("address=");
    if (at != std::string::npos && err.find('\n', at) != std::string::npos) {
      std::size_t end = err.find_first_of(" \n", at);
      return *net::parse_address(err.substr(at + 8, end - at - 8));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL("it does not listen: " << process.err_so_far());
  return {};
}

json get(net::HttpClient& client, const std::string& target) {
  auto response = client.get(target);
  REQUIRE(response);
  INFO(target << " → " << response->body);
  CHECK(response->status == 200);
  return json::parse(response->body);
}

void wait_until_ready(net::HttpClient& client) {
  for (int i = 0; i < 1000; ++i) {
    auto response = client.get("/readyz");
    if (response && response->status == 200) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL("not ready");
}

}  // namespace

TEST_CASE("a static run writes its output, prints a summary and returns 0") {
  ScratchDirectory scratch;
  scratch.write("in/a.csv", "word,n\na,1\nb,2\na,3\n");
  scratch.write("p.yaml", counts("static"));
  std::string workers = GENERATE("1", "2");
  Finished run = thalweg(scratch.path(), {"run", "p.yaml", "--workers", workers});
  INFO(run.err);
  CHECK(run.exit_code == 0);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains("p: ended in") && Contains("3 rows in, 2 rows out, 0 errors"));
  CHECK_THAT(scratch.read("out.csv"), Contains("\"a\",4,") && Contains("\"b\",2,"));
  Finished quiet = thalweg(scratch.path(), {"run", "-q", "p.yaml"});
  CHECK(quiet.exit_code == 0);
  CHECK(quiet.err.empty());
}

TEST_CASE("an invalid pipeline is 3, a missing static input and an ERROR are 1") {
  ScratchDirectory scratch;
  scratch.write("bad.yaml", "t: !select {table: $nothing}\n");
  CHECK(thalweg(scratch.path(), {"run", "bad.yaml"}).exit_code == 3);
  scratch.write("p.yaml", counts("static"));
  Finished missing = thalweg(scratch.path(), {"run", "p.yaml"});
  CHECK(missing.exit_code == 1);
  CHECK_THAT(missing.err, Contains("in"));
  scratch.write("in/a.csv", "word,n\na,0\n");
  scratch.write("div.yaml",
                "$words: !io.csv.read\n  path: ./in\n  mode: static\n"
                "  schema: !schema_from_types {word: str, n: int}\n"
                "t: !select {table: $words, columns: {x: 1 // n}}\n");
  Finished failed = thalweg(scratch.path(), {"run", "div.yaml"});
  CHECK(failed.exit_code == 1);
  CHECK_THAT(failed.err, Contains("division by zero") && Contains("div.yaml:5:"));
  Finished lenient = thalweg(scratch.path(), {"run", "div.yaml", "--set", "terminate_on_error=false"});
  INFO(lenient.err);
  CHECK(lenient.exit_code == 0);
  CHECK_THAT(lenient.err, Contains("1 errors") && Contains("division by zero"));
}

TEST_CASE("only this machine is listened for, and a taken port is an error before anything runs") {
  ScratchDirectory scratch;
  scratch.write("in/a.csv", "word,n\na,1\n");
  scratch.write("p.yaml", counts("streaming"));
  Finished open = thalweg(scratch.path(), {"run", "p.yaml", "--listen", "0.0.0.0:0"});
  CHECK(open.exit_code == 2);
  CHECK_THAT(open.err, Contains("without auth"));
  CHECK(thalweg(scratch.path(), {"run", "p.yaml", "--listen", "nonsense"}).exit_code == 2);
  Process first(scratch.path(), {"run", "p.yaml", "--listen", "127.0.0.1:0"});
  net::Address address = listening(first);
  ScratchDirectory other;
  other.write("in/a.csv", "word,n\na,1\n");
  other.write("p.yaml", counts("static"));
  Finished second = thalweg(other.path(), {"run", "p.yaml", "--listen", address.to_text()});
  CHECK(second.exit_code == 1);
  CHECK_THAT(second.err, Contains("cannot listen on " + address.to_text()));
  CHECK(other.read("out.csv").empty());
  first.signal(SIGTERM);
  CHECK(first.wait().exit_code == 0);
}

TEST_CASE("a streaming run follows its files, answers over REST, and drains on SIGTERM") {
  ScratchDirectory scratch;
  scratch.write("in/a.csv", "word,n\na,1\nb,2\n");
  scratch.write("p.yaml", counts("streaming"));
  Process run(scratch.path(), {"run", "p.yaml", "--listen", "127.0.0.1:0"});
  net::HttpClient client(listening(run));
  wait_until_ready(client);
  std::string rows = "/api/v1/pipelines/p/tables/counts/rows";
  CHECK(get(client, rows + "?k.word=a")["rows"][0]["total"] == 1);
  std::string next = std::to_string(get(client, rows)["frontier"]["at"].get<std::uint64_t>() + 1);
  scratch.write("in/a.csv", "a,10\n", true);
  CHECK(get(client, rows + "?k.word=a&min_frontier=" + next)["rows"][0]["total"] == 11);
  next = std::to_string(get(client, rows)["frontier"]["at"].get<std::uint64_t>() + 1);
  scratch.write("in/b.csv", "word,n\nc,5\n");
  CHECK(get(client, rows + "?k.word=c&min_frontier=" + next)["rows"].size() == 1);
  json changed = get(client, "/api/v1/pipelines/p/tables/counts/diff?from=0");
  CHECK(changed["changes"].size() == 5);
  CHECK(get(client, "/api/v1/pipelines/p/connectors")["connectors"].size() == 2);
  run.signal(SIGTERM);
  Finished ended = run.wait();
  INFO(ended.err);
  CHECK(ended.exit_code == 0);
  CHECK_THAT(ended.err, Contains("p: stopped in"));
  CHECK_THAT(scratch.read("out.csv"), Contains("\"a\",11,"));
}

TEST_CASE("--until-idle ends a streaming run that has read everything") {
  ScratchDirectory scratch;
  scratch.write("in/a.csv", "word,n\na,1\nb,2\n");
  scratch.write("p.yaml", counts("streaming"));
  Finished run = thalweg(scratch.path(), {"run", "p.yaml", "--until-idle", "0.3"});
  INFO(run.err);
  CHECK(run.exit_code == 0);
  CHECK_THAT(scratch.read("out.csv"), Contains("\"b\",2,"));
}

TEST_CASE("--set gives variables and settings; secrets are not printed") {
  ScratchDirectory scratch;
  scratch.write("in/a.csv", "word,n\na,1\n");
  std::string text = counts("static");
  text.replace(text.find("./in"), 4, "$folder");
  scratch.write("p.yaml", text);
  Finished run = thalweg(scratch.path(), {"run", "p.yaml", "--set", "folder=./in", "--set", "name=other"});
  INFO(run.err);
  CHECK(run.exit_code == 0);
  CHECK_THAT(run.err, Contains("other: ended"));
}

TEST_CASE("two pipelines run side by side") {
  ScratchDirectory scratch;
  scratch.write("in/a.csv", "word,n\na,1\n");
  scratch.write("one.yaml", counts("static"));
  std::string text = counts("static");
  text.replace(text.find("./out.csv"), 9, "./two.csv");
  scratch.write("two.yaml", text);
  Finished run = thalweg(scratch.path(), {"run", "one.yaml", "two.yaml"});
  CHECK(run.exit_code == 0);
  CHECK_THAT(run.err, Contains("one: ended") && Contains("two: ended"));
  CHECK_THAT(scratch.read("two.csv"), Contains("\"a\",1,"));
}

}  // namespace thalweg::tests
