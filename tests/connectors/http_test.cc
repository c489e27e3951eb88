// Parts of connectors/http and connectors/net that need no socket. The rest: tests/integration/http.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <catch2/catch.hpp>

#include "connectors/http/access.h"
#include "connectors/http/fetch.h"
#include "connectors/http/request_row.h"
#include "connectors/http/server_options.h"
#include "connectors/http/webhook_sink.h"
#include "connectors/net/address_policy.h"
#include "connectors/net/origin.h"

namespace thalweg::web {
namespace {

plan::SourceField field(std::string name, Type type, std::optional<Value> fallback = {}) {
  plan::SourceField out;
  out.name = std::move(name);
  out.type = std::move(type);
  out.default_value = std::move(fallback);
  return out;
}

bool allowed(const net::AddressPolicy& policy, const char* text) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) return policy.allows(reinterpret_cast<const sockaddr&>(v4));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  REQUIRE(::inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
  return policy.allows(reinterpret_cast<const sockaddr&>(v6));
}

std::string basic(std::string_view encoded) { return "Basic " + std::string(encoded); }

net::HttpRequest with_header(std::string name, std::string value) {
  net::HttpRequest out;
  out.headers.add(std::move(name), std::move(value));
  return out;
}

}  // namespace

TEST_CASE("a body is an object, an array or lines of objects") {
  CHECK(records_of("{\"a\": 1}")->size() == 1);
  CHECK(records_of("{\n  \"a\": \"x\\ny\"\n}\n")->size() == 1);
  CHECK(records_of(" [ {\"a\": 1},\n {\"a\": 2} ] ")->size() == 2);
  CHECK(records_of("[]")->empty());
  CHECK(records_of("").has_value());
  const auto lines = records_of("{\"a\": 1}\r\n\n{\"a\": 2}");
  REQUIRE(lines.has_value());
  REQUIRE(lines->size() == 2);
  CHECK((*lines)[1].line == 3);
  CHECK(records_of("{\"a\": 1}\n{\"a\": }").error().line == 2);
  CHECK(records_of("[{\"a\": 1}, 2]").error().line == 2);
  for (const char* text : {"[", "[1", "{", "x", "[{}] x", "{} {}", "\"{}\"", "[{},]"}) {
    INFO(text);
    CHECK_FALSE(records_of(text).has_value());
  }
}

TEST_CASE("a request becomes a row, or says which field is wrong") {
  const std::vector<plan::SourceField> fields = {field("n", Kind::kInt), field("s", Kind::kStr, Value::str("d")),
                                                 field("o", Type(Kind::kFloat, true)),
                                                 field("j", Type(Kind::kJson, true))};
  const auto object = json::JsonObject::parse(R"({"n": 4, "j": {"k": [1]}})");
  const auto row = row_of(fields, &*object, {{"n", "9"}, {"s", "text"}, {"o", "1.5"}});
  REQUIRE(row.has_value());
  CHECK((*row)[0] == Value::of(std::int64_t{4}));
  CHECK((*row)[1] == Value::str("text"));
  CHECK((*row)[2] == Value::of(1.5));
  CHECK((*row)[3] == Value::json(R"({"k":[1]})"));
  CHECK((*row_of(fields, nullptr, {{"n", "1"}, {"j", "plain"}}))[3] == Value::json("\"plain\""));
  CHECK(row_of(fields, nullptr, {}).error().message == "`n` is required");
  CHECK(row_of(fields, nullptr, {{"n", "x"}}).error().field == "n");
  const auto wrong = json::JsonObject::parse(R"({"n": 4, "s": 5})");
  CHECK(row_of(fields, &*wrong, {}).error().field == "s");
  std::vector<FieldProblem> problems;
  const auto cells = row_with_errors(fields, *wrong, problems);
  CHECK(problems.size() == 1);
  CHECK(cells[1].is_error());
}

TEST_CASE("keys and passwords admit, others do not") {
  Access access;
  CHECK(access.admits({}));
  access.api_keys = {"one", "two"};
  access.users = {{"ada", "secret"}};
  CHECK_FALSE(access.admits({}));
  CHECK(access.admits(with_header("Authorization", "bearer two")));
  CHECK(access.admits(with_header("X-API-Key", "one")));
  CHECK(access.admits(with_header("Authorization", basic("YWRhOnNlY3JldA=="))));
  for (const char* value : {"Bearer on", "Bearer onee", "Bearer ", "Bearer", "one", "Basic YWRhOm90aGVy", "Basic !!"}) {
    INFO(value);
    CHECK_FALSE(access.admits(with_header("Authorization", value)));
  }
}

TEST_CASE("private addresses are refused in every spelling") {
  const auto none = net::AddressPolicy::make({});
  REQUIRE(none.has_value());
  for (const char* text : {"127.0.0.1",
                           "10.1.2.3",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "169.254.169.254",
                           "0.0.0.0",
                           "100.64.0.1",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::1",
                           "::",
                           "fe80::1",
                           "fc00::1",
                           "fd12::1",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::7f00:1",
                           "2002:7f00:1::",
                           "::127.0.0.1"}) {
    INFO(text);
    CHECK_FALSE(allowed(*none, text));
  }
  for (const char* text :
       {"1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"}) {
    INFO(text);
    CHECK(allowed(*none, text));
  }
  const auto some = net::AddressPolicy::make({"10.0.0.0/8", "fd00::/8", "192.168.1.7", "*.internal", "localhost"});
  REQUIRE(some.has_value());
  CHECK(allowed(*some, "10.255.0.1"));
  CHECK(allowed(*some, "fd00::9"));
  CHECK(allowed(*some, "192.168.1.7"));
  CHECK_FALSE(allowed(*some, "192.168.1.8"));
  CHECK_FALSE(allowed(*some, "169.254.169.254"));
  CHECK(some->allows_name("db.internal"));
  CHECK(some->allows_name("LOCALHOST"));
  CHECK_FALSE(some->allows_name("internal"));
  CHECK_FALSE(some->allows_name("dbinternal"));
  for (const char* wrong : {"", "10.0.0.0/33", "http://x", "1.2.3", "a b", "::/129"}) {
    INFO(wrong);
    CHECK_FALSE(net::AddressPolicy::make({wrong}).has_value());
  }
}

TEST_CASE("names of this machine, and pages of other sites") {
  for (const char* host : {"localhost", "localhost:80", "127.0.0.1:8011", "[::1]:80", "a.localhost"})
    CHECK(net::names_this_machine(host));
  for (const char* host : {"example.org", "localhost.example.org:80", "127.0.0.1.example.org"})
    CHECK_FALSE(net::names_this_machine(host));
  net::HttpRequest request = with_header("Origin", "https://example.org");
  request.method = "POST";
  request.headers.add("Host", "localhost:80");
  CHECK(net::is_cross_origin(request));
  request.headers.set("Origin", "http://localhost:80");
  CHECK_FALSE(net::is_cross_origin(request));
  request.headers.add("Sec-Fetch-Site", "cross-site");
  CHECK(net::is_cross_origin(request));
  request.method = "GET";
  CHECK_FALSE(net::is_cross_origin(request));
}

TEST_CASE("templates put cells between the quotes of JSON") {
  Schema schema;
  schema.columns = {{"text", Kind::kStr}, {"n", Kind::kInt}};
  BatchBuilder builder(schema);
  const std::vector<Value> cells = {Value::str("a \"b\"\n"), Value::of(std::int64_t{7})};
  builder.push({}, cells, -1);
  const Batch batch = builder.finish();
  const auto text = [&](std::string_view pattern, RowTemplate::Escape escape) {
    std::string out;
    RowTemplate::parse(pattern, schema, escape)->append(schema, batch, 0, 12, out);
    return out;
  };
  CHECK(text(R"({"t": "{table.text}", "n": {table.n}})", RowTemplate::Escape::kJson) ==
        R"({"t": "a \"b\"\n", "n": 7})");
  CHECK(text("{table.text}{table.time}{table.diff}", RowTemplate::Escape::kNone) == "a \"b\"\n12-1");
  CHECK(text("{table.text}|", RowTemplate::Escape::kHeader) == "a \"b\"|");
  CHECK_FALSE(RowTemplate::parse("{table.m}", schema, RowTemplate::Escape::kNone).has_value());
  CHECK_FALSE(RowTemplate::parse("{table.n", schema, RowTemplate::Escape::kNone).has_value());
}

}  // namespace thalweg::web
