// What is written reads back the same; any other bytes give an error, and no more memory than there are bytes.
#include "engine/state/archive.h"

#include <catch2/catch.hpp>
#include <limits>

#include "engine/types/encoding.h"
#include "tests/support/random.h"

namespace thalweg::tests {
namespace {

using testing::Random;

constexpr std::uint64_t kRounds = 400;

struct Case {
  Schema schema;
  Batch batch;
};

Value random_value(Random& random, const Type& type, int depth = 0) {
  if (type.admits_none() && random.chance(20)) return Value::none();
  if (depth == 0 && random.chance(5)) return Value::error();
  auto text = [&] { return std::string(random.below(30), static_cast<char>('a' + random.below(26))); };
  switch (type.kind()) {
    case Kind::kNone: return Value::none();
    case Kind::kBool: return Value::of(random.chance(50));
    case Kind::kInt: return Value::of(static_cast<std::int64_t>(random.next()));
    case Kind::kFloat: return Value::of(random.chance(10) ? std::numeric_limits<double>::infinity() : -0.5);
    case Kind::kPointer: return Value::of(Key{random.next(), random.next()});
    case Kind::kUuid: return Value::uuid(Key{random.next(), random.next()});
    case Kind::kStr: return Value::str(text());
    case Kind::kBytes: return Value::bytes(text());
    case Kind::kJson: return Value::json("{\"a\":" + std::to_string(random.below(1000)) + "}");
    case Kind::kDateTimeNaive: return Value::datetime_naive(static_cast<std::int64_t>(random.next() >> 2));
    case Kind::kDateTimeUtc: return Value::datetime_utc(static_cast<std::int64_t>(random.next() >> 2));
    case Kind::kDuration: return Value::duration(static_cast<std::int64_t>(random.next() >> 2));
    case Kind::kTuple: {
      std::vector<Value> elements;
      for (const Type& element : type.args()) elements.push_back(random_value(random, element, depth + 1));
      return Value::tuple(std::move(elements));
    }
    case Kind::kList: {
      std::vector<Value> elements;
      for (std::size_t i = random.below(4); i > 0; --i)
        elements.push_back(random_value(random, type.element(), depth + 1));
      return Value::tuple(std::move(elements));
    }
    case Kind::kArray: return Value::array({.shape = {2, 1}, .data = std::vector<double>{1.5, -2}});
    case Kind::kAny: return random.chance(50) ? Value::of(std::int64_t{7}) : Value::str(text());
  }
  return {};
}

Case random_case(Random& random) {
  const std::vector<Type> types = {Kind::kBool,
                                   Kind::kInt,
                                   Type(Kind::kInt, true),
                                   Kind::kFloat,
                                   Kind::kPointer,
                                   Kind::kStr,
                                   Type(Kind::kStr, true),
                                   Kind::kBytes,
                                   Kind::kJson,
                                   Kind::kUuid,
                                   Kind::kDateTimeUtc,
                                   Kind::kDuration,
                                   Kind::kAny,
                                   Type::tuple({Kind::kInt, Kind::kStr}),
                                   Type::list(Type(Kind::kFloat, true)),
                                   Type::array(Kind::kFloat, 2)};
  Case out;
  for (std::size_t i = random.below(5); i > 0; --i)
    out.schema.columns.push_back({"c" + std::to_string(i), random.one_of(types)});
  BatchBuilder builder(out.schema);
  for (std::size_t n = random.below(20); n > 0; --n) {
    std::vector<Value> row;
    for (const ColumnSpec& column : out.schema.columns) row.push_back(random_value(random, column.type));
    builder.push(Key{random.next(), random.next()}, row, random.chance(70) ? 1 : -1);
  }
  out.batch = builder.finish();
  out.batch.order = random.below(100);
  if (random.chance(30)) out.batch.keys = {};
  if (!out.schema.columns.empty() && random.chance(30)) {
    const Type& type = out.schema.columns[0].type;
    out.batch.columns[0] = Column::constant(type, random_value(random, type), out.batch.num_rows);
  }
  if (out.batch.num_rows > 4 && random.chance(30)) out.batch = out.batch.slice(1, out.batch.num_rows - 2);
  return out;
}

void check_equal(const Case& wanted, const Batch& got) {
  REQUIRE(got.num_rows == wanted.batch.num_rows);
  REQUIRE(got.order == wanted.batch.order);
  REQUIRE(got.keys.absent() == wanted.batch.keys.absent());
  REQUIRE(got.columns.size() == wanted.schema.size());
  for (std::size_t row = 0; row < got.num_rows; ++row) {
    REQUIRE(got.diff(row) == wanted.batch.diff(row));
    if (!got.keys.absent()) REQUIRE(got.keys[row] == wanted.batch.keys[row]);
    for (std::size_t c = 0; c < got.columns.size(); ++c)
      REQUIRE(Column::cells_equal(got.columns[c], row, wanted.batch.columns[c], row));
  }
}

// Everything of a batch is looked at, as an operator would.
void use(const Schema& schema, const Batch& batch) {
  std::size_t length = 0;
  for (std::size_t row = 0; row < std::min<std::size_t>(batch.num_rows, 1000); ++row)
    for (std::size_t c = 0; c < schema.size(); ++c)
      length += encode(batch.columns[c].value(schema.columns[c].type, row)).size();
  REQUIRE(length < std::size_t{1} << 40);
}

std::string written(const Case& value) {
  StateWriter out;
  out.begin_block("test", 3, fingerprint_of(column_types(value.schema)));
  out.put_batch(value.batch);
  out.put_numbers(std::vector<std::uint32_t>{1, 2, 3});
  out.put_text("and a text");
  out.put_value(Value::tuple({Value::of(1.5), Value::none()}));
  out.put_bool(true);
  out.end_block();
  return out.take();
}

Result<Batch> read(StateReader& in, const Schema& schema) {
  TRY(in.begin_block("test", 3, fingerprint_of(column_types(schema))));
  Batch batch = TRY(in.batch(schema));
  std::vector<std::uint32_t> numbers = TRY(in.numbers<std::uint32_t>());
  std::string text = TRY(in.text());
  Value value = TRY(in.value());
  TRY(in.boolean());
  TRY(in.end_block());
  return batch;
}

}  // namespace

TEST_CASE("A1: batches of every type read back the same") {
  Random random(testing::property_seed());
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    Case value = random_case(random);
    std::string bytes = written(value);
    StateReader in(bytes);
    Result<Batch> got = read(in, value.schema);
    if (!got) FAIL(got.error().message);
    check_equal(value, *got);
    REQUIRE(in.remaining() == 0);
  }
}

TEST_CASE("A1: pieces of any size make the same reader") {
  Random random(testing::property_seed() + 1);
  Case value = random_case(random);
  std::string bytes = written(value);
  std::size_t at = 0;
  StateReader in(bytes.size(), [&]() -> Result<std::string_view> {
    std::size_t n = std::min(bytes.size() - at, std::size_t{1} + random.below(7));
    at += n;
    return std::string_view(bytes).substr(at - n, n);
  });
  Result<Batch> got = read(in, value.schema);
  REQUIRE(got);
  check_equal(value, *got);
}

TEST_CASE("A1: a writer with a sink gives the bytes of one without") {
  Schema schema{{{"text", Kind::kStr}}};
  BatchBuilder builder(schema);
  for (int i = 0; i < 5000; ++i) builder.push(Key{}, std::vector<Value>{Value::str(std::string(500, 'x'))});
  Batch batch = builder.finish();
  StateWriter whole;
  whole.put_batch(batch);
  std::string pieces;
  std::size_t count = 0;
  StateWriter parts([&](std::string&& piece) {
    pieces += piece;
    ++count;
  });
  parts.put_batch(batch);
  parts.finish();
  REQUIRE(count > 1);
  REQUIRE(pieces == whole.take());
  REQUIRE(parts.bytes() == pieces.size());
}

TEST_CASE("A2: bytes that are cut off or changed give an error or a batch, never a crash") {
  Random random(testing::property_seed() + 2);
  std::size_t refused = 0;
  for (std::uint64_t round = 0; round < kRounds * 5; ++round) {
    Case value = random_case(random);
    std::string bytes = written(value);
    bool cut = random.chance(30);
    if (cut) {
      bytes.resize(random.below(bytes.size()));
    } else {
      for (std::size_t n = 1 + random.below(3); n > 0; --n) {
        std::size_t at = random.below(bytes.size());
        bytes[at] = random.chance(50) ? static_cast<char>(random.next())
                                      : static_cast<char>(bytes[at] ^ (1 << random.below(8)));
      }
    }
    StateReader in(bytes);
    Result<Batch> got = read(in, value.schema);
    if (cut) REQUIRE(!got);
    if (got) use(value.schema, *got);
    refused += got ? 0 : 1;
  }
  REQUIRE(refused > kRounds);
}

TEST_CASE("A2: a length that is not there is not allocated") {
  StateWriter out;
  out.put_u64(std::uint64_t{1} << 61);
  std::string bytes = out.take();
  REQUIRE(!StateReader(bytes).text());
  REQUIRE(!StateReader(bytes).numbers<std::uint64_t>());
  REQUIRE(!StateReader(bytes).batch(Schema{}));
}

TEST_CASE("A3: another kind, version or fingerprint is refused") {
  Schema schema{{{"n", Kind::kInt}}};
  Case value{schema, BatchBuilder(schema).finish()};
  std::string bytes = written(value);
  Key good = fingerprint_of(column_types(schema));
  REQUIRE(StateReader(bytes).begin_block("test", 3, good) == 3U);
  REQUIRE(StateReader(bytes).begin_block("test", 7, good) == 3U);
  REQUIRE(!StateReader(bytes).begin_block("test", 2, good));
  REQUIRE(!StateReader(bytes).begin_block("other", 3, good));
  REQUIRE(!StateReader(bytes).begin_block("test", 3, Key{1, 2}));
}

TEST_CASE("encodings that are no values are told apart") {
  for (const Value& value : {Value::none(), Value::of(1.5), Value::tuple({Value::str("a"), Value::tuple({})}),
                             Value::array({.shape = {0, 3}, .data = std::vector<std::int64_t>{}})}) {
    std::string bytes = encode(value);
    REQUIRE(is_encoding(bytes));
    REQUIRE(!is_encoding(bytes + '\0'));
    for (std::size_t n = 0; n < bytes.size(); ++n) REQUIRE(!is_encoding(bytes.substr(0, n)));
  }
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += std::string("\x07\x01\0\0\0\0\0\0\0", 9);
  REQUIRE(!is_encoding(deep));
}

}  // namespace thalweg::tests
