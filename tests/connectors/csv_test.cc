#include "connectors/formats/csv.h"

#include <catch2/catch.hpp>

#include "engine/types/batch.h"
#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Texts = std::vector<std::string>;

namespace {

plan::Source source_of(std::vector<plan::SourceField> fields) {
  plan::Source source;
  source.connector = "io.csv.read";
  source.fields = std::move(fields);
  return source;
}

Rows decode_csv(const plan::Source& source, const std::string& text, const CsvFormat& format = {}) {
  auto layout = RecordLayout::of(source);
  REQUIRE(layout);
  std::size_t header = CsvCutter(format).record_end(text);
  BlockInfo info;
  info.first_line = 1;
  info.csv_header = std::make_shared<const CsvHeader>(
      CsvHeader::from_names(*layout, split_csv_record(format, std::string_view(text).substr(0, header))));
  return decode_text(CsvDecoder(format, *layout), source, text.substr(header), info);
}

const plan::Source kAB = source_of({field("a", Kind::kInt), field("b", Kind::kStr)});

}  // namespace

TEST_CASE("csv: columns are found by the header, in any order, and unknown ones are left out") {
  auto rows = decode_csv(kAB, "x,b,a\n1,one,1\n2,\"two, too\",-2\n");
  CHECK(rows.texts() == Texts{"1|one", "-2|two, too"});
  CHECK(rows.bad.empty());
}

TEST_CASE("csv: quotes hold delimiters, line ends and doubled quotes") {
  auto rows =
      decode_csv(kAB, "a,b\n1,\"x\ny\"\n2,\"say \"\"hi\"\" to a long enough text\"\n3,a\"b\n4,\"q\"rest\n5,\"\"\n");
  CHECK(rows.texts() == Texts{"1|x\ny", "2|say \"hi\" to a long enough text", "3|a\"b", "4|qrest", "5|"});
}

TEST_CASE("csv: CRLF, blank lines, no line end at the end") {
  auto rows = decode_csv(kAB, "a,b\r\n1,x\r\n\r\n\n2,y");
  CHECK(rows.texts() == Texts{"1|x", "2|y"});
}

TEST_CASE("csv: escapes, comments and other delimiters") {
  CsvFormat format;
  format.escape = '\\';
  format.comment = '#';
  format.delimiter = ';';
  auto rows = decode_csv(kAB, "a;b\n# no, \"record\n1;\"x\\\"y\"\n2;\"b\\\\\"\n", format);
  CHECK(rows.texts() == Texts{"1|x\"y", "2|b\\"});
}

TEST_CASE("csv: a field that does not fit is an ERROR cell with its place") {
  auto rows = decode_csv(kAB, "a,b\nseven,x\n,y\n99999999999999999999,z\n");
  CHECK(rows.texts() == Texts{"Error|x", "Error|y", "Error|z"});
  CHECK(rows.messages() == Texts{"f:2:1: column `a` is `seven`, not int", "f:3:1: column `a` is empty, not int",
                                 "f:4:1: column `a` is `99999999999999999999`, not int"});
  CHECK(rows.bad[0].kind == BadRecord::Kind::kValue);
  CHECK(rows.bad[0].raw == "seven,x");
}

TEST_CASE("csv: the place of a field below a quoted line end") {
  auto rows = decode_csv(source_of({field("b", Kind::kStr), field("a", Kind::kInt)}), "b,a\n\"1\n2\",z\nx,7\n");
  CHECK(rows.messages() == Texts{"f:3:4: column `a` is `z`, not int"});
  CHECK(rows.texts() == Texts{"1\n2|Error", "x|7"});
}

TEST_CASE("csv: more fields than the header is a bad record, fewer are missing fields") {
  auto source = source_of({field("a", Kind::kInt), field("b", Type(Kind::kStr, true)), field("c", Kind::kInt)});
  source.fields[2].default_value = Value::of(std::int64_t{5});
  auto rows = decode_csv(source, "a,b,c\n1,x,2,3\n2\n3,,\n");
  CHECK(rows.messages() == Texts{"f:2:1: the record has 4 fields, the header 3"});
  CHECK(rows.bad[0].kind == BadRecord::Kind::kRecord);
  CHECK(rows.texts() == Texts{"2|None|5", "3|None|5"});
}

TEST_CASE("csv: None words, bools, floats") {
  auto source = source_of({field("i", Type(Kind::kInt, true)), field("b", Kind::kBool), field("f", Kind::kFloat)});
  auto rows = decode_csv(source, "i,b,f\nNULL,yes,1e3\nnone,F,+2\n 7 ,0,-inf\n");
  CHECK(rows.texts() == Texts{"None|True|1000.0", "None|False|2.0", "7|False|-inf"});
}

TEST_CASE("csv: typed fields") {
  auto source =
      source_of({field("d", Kind::kDateTimeNaive), field("u", Kind::kDateTimeUtc), field("p", Kind::kDuration),
                 field("j", Kind::kJson), field("l", Type::list(Kind::kInt)), field("x", Kind::kBytes)});
  auto rows = decode_csv(
      source,
      "d,u,p,j,l,x\n2024-01-02T03:04:05.5,2024-01-02 00:00:00+01:00,1500,\"{\"\"a\"\": [1, 2]}\",\"[1,2]\",aGk=\n");
  CHECK(rows.messages() == Texts{});
  REQUIRE(rows.all.size() == 1);
  CHECK(rows.all[0].text.starts_with("2024-01-02T03:04:05.500000000|2024-01-01T23:00:00.000000000+0000|"));
  CHECK(rows.all[0].text.ends_with("|{\"a\":[1,2]}|(1, 2)|b'hi'"));
}

TEST_CASE("csv: broken UTF-8 makes an ERROR cell, NUL bytes are bytes") {
  auto rows = decode_csv(kAB, std::string("a,b\n1,x\xFFy\n2,z\n3,") + '\0' + "n\n");
  CHECK(rows.messages() == Texts{"f:2:3: column `b` is not valid UTF-8"});
  CHECK(rows.texts() == Texts{"1|Error", "2|z", std::string("3|") + '\0' + "n"});
}

TEST_CASE("csv: unused fields are not read, but keep their place") {
  auto source = kAB;
  source.fields[0].used = false;
  source.needs_keys = false;
  auto rows = decode_csv(source, "a,b\nnot an int,x\n");
  CHECK(rows.texts() == Texts{"x"});
  CHECK(rows.bad.empty());
}

TEST_CASE("csv: primary keys are hashes of values; an ERROR in one drops the row") {
  auto source = source_of({key_field("a", Kind::kInt), key_field("b", Kind::kStr), field("c", Kind::kInt)});
  source.fields[0].used = false;
  auto rows = decode_csv(source, "a,b,c\n1,x,5\n?,y,6\n");
  REQUIRE(rows.texts() == Texts{"x|5"});
  CHECK(rows.all[0].key == key_of_values({Value::of(std::int64_t{1}), Value::str("x")}));
  CHECK(rows.messages() ==
        Texts{"f:3:1: column `a` is `?`, not int; it is part of the primary key, so the row is dropped"});
  CHECK(rows.bad[0].kind == BadRecord::Kind::kRecord);
}

TEST_CASE("csv: generated keys follow lines, also over lines that give no row") {
  auto rows = decode_csv(kAB, "a,b\n1,x\n\n2,y\n3,z\n");
  REQUIRE(rows.all.size() == 3);
  CHECK(rows.all[0].key == sequence_key(0, 1));
  CHECK(rows.all[1].key == sequence_key(0, 3));
  CHECK(rows.all[2].key == sequence_key(0, 4));
}

TEST_CASE("csv: the cutter ends blocks outside of quotes") {
  CsvCutter cutter{CsvFormat{}};
  CHECK(cutter.whole_records("a,b\n1,\"x\n") == 4);
  CHECK(cutter.whole_records("a,b\n1,\"x\ny\"\n2,") == 12);
  CHECK(cutter.whole_records("a,5\" pipe\nb,") == 10);
  CHECK(cutter.whole_records("no line end") == 0);
  CHECK(cutter.record_end("\"a\nb\",c\nd\n") == 8);
}

TEST_CASE("F1: csv cutter and decoder agree, whatever the bytes") {
  std::uint64_t seed = 12345;
  auto next = [&] {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return seed >> 33;
  };
  CsvFormat format;
  format.comment = '#';
  auto source = source_of({field("a", Kind::kStr), field("b", Kind::kStr)});
  auto layout = RecordLayout::of(source);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t i = next() % 60; i > 0; --i) text += "ab,\"\n\r#x,\"\n"[next() % 11];
    CsvCutter cutter(format);
    std::size_t whole = cutter.whole_records(text);
    std::string head = text.substr(0, whole);
    BlockInfo info;
    info.csv_header = std::make_shared<const CsvHeader>(CsvHeader::by_position(*layout));
    // One block, or a block per record: the same rows.
    Rows at_once = decode_text(CsvDecoder(format, *layout), source, head, info);
    std::vector<std::string> one_by_one;
    std::size_t bad = 0;
    while (!head.empty()) {
      std::size_t end = cutter.record_end(head);
      REQUIRE(end > 0);
      Rows rows = decode_text(CsvDecoder(format, *layout), source, head.substr(0, end), info);
      for (const std::string& t : rows.texts()) one_by_one.push_back(t);
      INFO("[" << head.substr(0, end) << "]");
      REQUIRE(rows.all.size() <= 1);
      REQUIRE(rows.bad.size() <= 1);
      bad += rows.bad.size();
      head.erase(0, end);
    }
    INFO("seed 12345, round " << round << ": " << text);
    if (whole) CHECK(at_once.texts() == one_by_one);
    if (whole) CHECK(at_once.bad.size() == bad);
  }
}

}  // namespace thalweg
