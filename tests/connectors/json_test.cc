#include "connectors/formats/json.h"

#include <catch2/catch.hpp>

#include "connectors/formats/json_scan.h"
#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Texts = std::vector<std::string>;

namespace {

plan::Source source_of(std::vector<plan::SourceField> fields) {
  plan::Source source;
  source.connector = "io.jsonlines.read";
  source.fields = std::move(fields);
  return source;
}

Rows decode_json(const plan::Source& source, const std::string& text, const JsonPaths& paths = {}) {
  auto layout = RecordLayout::of(source);
  REQUIRE(layout);
  auto decoder = JsonLinesDecoder::make(*layout, paths);
  REQUIRE(decoder);
  return decode_text(**decoder, source, text);
}

const plan::Source kAB = source_of({field("a", Kind::kInt), field("b", Kind::kStr)});

}  // namespace

TEST_CASE("json: fields in any order, others left out, blanks anywhere") {
  auto rows =
      decode_json(kAB,
                  "{\"a\":1,\"b\":\"x\"}\n"
                  " { \"b\" : \"a text that is longer than a view\" , \"z\" : {\"a\": [1, {}]}, \"a\" : -5 } \r\n"
                  "\n"
                  "{\"a\":3,\"b\":\"\"}");
  CHECK(rows.messages() == Texts{});
  CHECK(rows.texts() == Texts{"1|x", "-5|a text that is longer than a view", "3|"});
}

TEST_CASE("json: escapes are what they mean") {
  auto rows = decode_json(kAB, R"({"a":1,"b":"q\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"})"
                               "\n"
                               R"({"\u0061":2,"b":"k"})");
  CHECK(rows.texts() == Texts{"1|q\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "2|k"});
}

TEST_CASE("json: a line that is no object is a bad record with its place") {
  auto rows = decode_json(kAB,
                          "{\"a\":1,\"b\":\"x\"\n"
                          "[1]\n"
                          "{\"a\":1 \"b\":2}\n"
                          "{\"a\":1,\"b\":\"x\"} y\n"
                          "{\"a\":1,\"b\":\"\\ud800\"}\n"
                          "{\"a\":01,\"b\":\"\"}\n"
                          "{\"a\":1,}\n"
                          "{\"a\":1,\"b\":\"tab\there\"}\n"
                          "{\"a\":4,\"b\":\"good\"}\n");
  CHECK(rows.texts() == Texts{"4|good"});
  REQUIRE(rows.bad.size() == 8);
  CHECK(rows.messages()[0] == "f:1:15: the line is not valid JSON: expected `,` or `}` after a value");
  CHECK(rows.messages()[1] == "f:2:1: the line is not a JSON object");
  CHECK(rows.messages()[2] == "f:3:8: the line is not valid JSON: expected `,` or `}` after a value");
  CHECK(rows.messages()[3] == "f:4:17: the line is not valid JSON: there is text after the object");
  CHECK(rows.bad[0].kind == BadRecord::Kind::kRecord);
}

TEST_CASE("json: a value that does not fit is an ERROR cell") {
  auto rows = decode_json(kAB,
                          "{\"a\":\"1\",\"b\":\"x\"}\n"
                          "{\"a\":1.5,\"b\":7}\n"
                          "{\"a\":null,\"b\":\"y\"}\n"
                          "{\"b\":\"z\"}\n"
                          "{\"a\":9223372036854775808,\"b\":\"w\"}\n"
                          "{\"a\":-9223372036854775808,\"b\":\"m\"}\n");
  CHECK(rows.texts() == Texts{"Error|x", "Error|Error", "Error|y", "Error|z", "Error|w", "-9223372036854775808|m"});
  CHECK(rows.messages() == Texts{"f:1:6: column `a` is \"1\", not int", "f:2:6: column `a` is 1.5, not int",
                                 "f:2:14: column `b` is 7, not str", "f:3:6: column `a` is null, not int",
                                 "f:4:1: column `a` is missing, and has no default",
                                 "f:5:6: column `a` is 9223372036854775808, not int"});
}

TEST_CASE("json: None, defaults and bools") {
  auto source = source_of({field("i", Type(Kind::kInt, true)), field("b", Kind::kBool), field("d", Kind::kFloat)});
  source.fields[2].default_value = Value::of(0.5);
  auto rows =
      decode_json(source, "{\"i\":null,\"b\":true,\"d\":2}\n{\"b\":false}\n{\"b\":false,\"d\":-1.5e2,\"i\":0}\n");
  CHECK(rows.messages() == Texts{});
  CHECK(rows.texts() == Texts{"None|True|2.0", "None|False|0.5", "0|False|-150.0"});
}

TEST_CASE("json: documents, lists, tuples, arrays and any") {
  auto source =
      source_of({field("j", Kind::kJson), field("k", Type(Kind::kJson, true)), field("l", Type::list(Kind::kFloat)),
                 field("t", Type::tuple({Kind::kInt, Kind::kStr})), field("n", Type::array()), field("x", Kind::kAny)});
  auto rows = decode_json(
      source, R"({"j":{"a": [1, "b c"]},"k":null,"l":[1,2.5],"t":[1,"x"],"n":[[1,2],[3,4]],"x":[1,"s",null]})"
              "\n"
              R"({"j":null,"k":5,"l":[],"t":[2,"y"],"n":{"shape":[2],"elements":[1,2.5]},"x":1.5})"
              "\n");
  CHECK(rows.messages() == Texts{});
  CHECK(rows.texts() == Texts{"{\"a\":[1,\"b c\"]}|None|(1.0, 2.5)|(1, 'x')|[[1, 2], [3, 4]]|(1, 's', None)",
                              "null|5|()|(2, 'y')|[1.0, 2.5]|1.5"});
}

TEST_CASE("json: fields at pointers") {
  auto source = source_of(
      {field("a", Kind::kInt), field("s", Kind::kStr), field("whole", Kind::kJson), field("arr", Kind::kJson)});
  JsonPaths paths{{"a", "/x/0/y"}, {"s", "/a~1b/m~0n"}, {"whole", ""}, {"arr", "/x"}};
  auto rows = decode_json(source,
                          R"({"x":[{"y":7},1],"a/b":{"m~n":"deep"}})"
                          "\n",
                          paths);
  CHECK(rows.messages() == Texts{});
  CHECK(rows.texts() == Texts{R"(7|deep|{"x":[{"y":7},1],"a/b":{"m~n":"deep"}}|[{"y":7},1])"});
  auto layout = RecordLayout::of(source);
  CHECK(JsonLinesDecoder::make(*layout, {{"a", "x"}}).error().message ==
        "`x` is not a JSON pointer: it must be empty or begin with `/`");
}

TEST_CASE("json: broken UTF-8 and NUL bytes are bad records") {
  auto rows = decode_json(
      kAB, std::string("{\"a\":1,\"b\":\"\xFF\"}\n{\"a\":2,\"b\":\"ok\"}\n{\"a\":3,\"b\":\"") + '\0' + "\"}\n");
  CHECK(rows.texts() == Texts{"2|ok"});
  CHECK(rows.messages()[0] == "f:1:1: the line is not valid UTF-8");
  CHECK(rows.bad.size() == 2);
}

TEST_CASE("json: nesting has a limit, and of equal keys the last counts") {
  std::string deep = "{\"a\":1,\"b\":\"x\",\"z\":" + std::string(5000, '[') + std::string(5000, ']') + "}\n";
  CHECK(decode_json(kAB, deep).bad.size() == 1);
  CHECK(decode_json(kAB, "{\"a\":1,\"b\":\"x\",\"a\":2}\n").texts() == Texts{"2|x"});
}

TEST_CASE("json: many rows keep their texts, over chunks") {
  std::string text;
  for (int i = 0; i < 20000; ++i)
    text += "{\"b\":\"" + std::string(static_cast<std::size_t>(i % 40), 'q') + "\",\"a\":" + std::to_string(i) + "}\n";
  auto rows = decode_json(kAB, text);
  REQUIRE(rows.all.size() == 20000);
  CHECK(rows.batches == 3);
  for (int i = 0; i < 20000; ++i)
    if (rows.all[static_cast<std::size_t>(i)].text !=
        std::to_string(i) + "|" + std::string(static_cast<std::size_t>(i % 40), 'q'))
      FAIL(i);
  CHECK(rows.all[19999].key == sequence_key(0, 19999));
}

}  // namespace thalweg
