#include <catch2/catch.hpp>

#include "connectors/postgres/decoder.h"
#include "connectors/postgres/encoder.h"
#include "connectors/postgres/pgoutput.h"
#include "connectors/postgres/settings.h"
#include "connectors/postgres/slot.h"

namespace thalweg::postgres {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[(c >> 4) & 15];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

TEST_CASE("numeric goes to its binary form and back") {
  struct Case {
    const char* text;
    const char* bytes;  // as the server sends it
  };
  for (const Case& c :
       {Case{"0", "0000000000000000"}, Case{"1", "00010000000000000001"}, Case{"-1.5", "000200004000000100011388"},
        Case{"10000", "00010001000000000001"}, Case{"0.0001", "0001ffff000000040001"},
        Case{"123456.789",
             "00030001000000030"
             "00c0d801ed2"}}) {
    INFO(c.text);
    std::string bytes;
    REQUIRE(append_numeric(c.text, bytes));
    CHECK(hex(bytes) == c.bytes);
    CHECK(numeric_to_text(bytes) == c.text);
  }
  for (const char* text :
       {"-98765432109876543210.0123456789", "0.00000000000000000001", "99999999", "1.000", "-0.50"}) {
    std::string bytes;
    REQUIRE(append_numeric(text, bytes));
    CHECK(numeric_to_text(bytes) == text);
  }
  const auto read_back = [](const char* text) {
    std::string bytes;
    return append_numeric(text, bytes) ? numeric_to_text(bytes).value_or("?") : std::string("refused");
  };
  CHECK(read_back("1.5e+16") == "15000000000000000");
  CHECK(read_back("1e-07") == "0.0000001");
  CHECK(read_back("nan") == "NaN");
  CHECK(read_back("-inf") == "-Infinity");
  CHECK(read_back("12a") == "refused");
  CHECK(read_back("") == "refused");
  CHECK(read_back("1e999999999") == "refused");
  CHECK_FALSE(numeric_to_text("short"));
}

TEST_CASE("places in the log read back") {
  CHECK(lsn_text(0x1'016B'3748) == "1/16B3748");
  CHECK(lsn_from_text("1/16B3748") == 0x1'016B'3748);
  CHECK_FALSE(lsn_from_text("16B3748"));
  CHECK_FALSE(lsn_from_text("x/1"));
  const Position position{.lsn = 0x16B3748, .system = "7301542", .timeline = 3, .slot = "a slot"};
  const auto back = Position::from(position.text());
  REQUIRE(back);
  CHECK(back->text() == "0/16B3748 7301542 3 a slot");
  CHECK_FALSE(Position::from("0/1"));
  CHECK_FALSE(Position::from("offset 17"));
}

TEST_CASE("names and texts are quoted") {
  CHECK(quoted_name("we\"ird") == "\"we\"\"ird\"");
  CHECK(quoted_literal("it's") == "'it''s'");
  CHECK(quoted_literal("a\\b") == "E'a\\\\b'");
  CHECK(own_name("thalweg", "Public.Ördér").size() <= 63);
  CHECK(own_name("thalweg", std::string(200, 'x')).size() <= 63);
  CHECK(own_name("thalweg", "a.b") != own_name("thalweg", "a_b"));
}

TEST_CASE("types that fit, and types that do not") {
  const WireType int4{.wire = Wire::kInt4};
  const WireType text{.wire = Wire::kText};
  const WireType ints{.wire = Wire::kArray, .element = Wire::kInt4, .element_oid = 23};
  CHECK(readable_as(int4, Type(Kind::kInt)));
  CHECK(readable_as(int4, Type(Kind::kFloat)));
  CHECK_FALSE(readable_as(int4, Type(Kind::kStr)));
  CHECK_FALSE(readable_as(text, Type(Kind::kInt)));
  CHECK(readable_as(ints, Type::list(Type::list(Type(Kind::kInt)))));
  CHECK_FALSE(readable_as(ints, Type::list(Type(Kind::kStr))));
  CHECK_FALSE(writable_to(Type(Kind::kStr), int4));
  CHECK_FALSE(writable_to(Type(Kind::kFloat), int4));
  CHECK(writable_to(Type(Kind::kInt), WireType{.wire = Wire::kNumeric}));
  CHECK(writable_to(Type::tuple({Type(Kind::kInt), Type(Kind::kInt)}), ints));
}

TEST_CASE("broken bytes are told, never read") {
  std::string why;
  const WireType ints{.wire = Wire::kArray, .element = Wire::kInt4, .element_oid = 23};
  std::string array;
  for (const std::int32_t number : {1, 0, 23, 1'000'000, 1}) append_be(number, array);
  CHECK_FALSE(decode_value(ints, Type::list(Type(Kind::kInt)), array, why));
  CHECK_FALSE(decode_value(ints, Type::list(Type(Kind::kInt)), "", why));
  CHECK_FALSE(decode_value({.wire = Wire::kInt8}, Type(Kind::kInt), "abc", why));
  CHECK_FALSE(decode_value({.wire = Wire::kUuid}, Type(Kind::kUuid), "short", why));
  CHECK_FALSE(decode_value({.wire = Wire::kTimestamp}, Type(Kind::kDateTimeNaive),
                           std::string("\x7f\xff\xff\xff\xff\xff\xff\xff", 8), why));
  CHECK(why.find("infinite") != std::string::npos);

  Change change;
  const std::vector<std::uint32_t> columns = {0, 1};
  std::string message = "I";
  append_be<std::int32_t>(16384, message);
  message += 'N';
  append_be<std::int16_t>(2, message);
  message += 'b';
  append_be<std::int32_t>(4, message);
  message += "abcdu";
  REQUIRE(read_change(message, columns, change));
  CHECK(change.new_row[0].bytes == "abcd");
  CHECK(change.new_row[1].state == RawField::State::kUnchanged);
  for (std::size_t bytes = 0; bytes < message.size(); ++bytes)
    CHECK_FALSE(read_change(std::string_view(message).substr(0, bytes), columns, change));
  CHECK_FALSE(read_change(message, {0, 2}, change));

  std::vector<RawField> fields;
  std::string row;
  append_be<std::int16_t>(1, row);
  append_be<std::int32_t>(100, row);
  std::string_view at = row;
  CHECK_FALSE(next_copy_row(at, fields));
}

}  // namespace
}  // namespace thalweg::postgres
