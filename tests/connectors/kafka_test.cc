// Kafka without a broker: positions, Avro, Debezium, and faults in librdkafka's mock cluster.
#include <catch2/catch.hpp>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <array>
#include <cstdlib>
#include <thread>

#include "collect.h"
#include "connectors/formats/avro.h"
#include "connectors/formats/debezium.h"
#include "connectors/kafka/position.h"
#include "connectors/kafka/schema_registry.h"
#include "connectors/kafka/sink.h"
#include "connectors/kafka/source.h"

namespace thalweg {

namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

// Three brokers inside of this process.
class MockCluster {
 public:
  MockCluster() {
    char why[256];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, [](const rd_kafka_t*, int, const char*, const char*) {});
    owner_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    cluster_ = rd_kafka_mock_cluster_new(owner_, 3);
  }
  ~MockCluster() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(owner_);
  }
  MockCluster(const MockCluster&) = delete;
  MockCluster& operator=(const MockCluster&) = delete;
  [[nodiscard]] std::string servers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  [[nodiscard]] rd_kafka_mock_cluster_t* raw() const { return cluster_; }
  void topic(const char* name, int partitions = 1) const { rd_kafka_mock_topic_create(cluster_, name, partitions, 3); }

 private:
  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

constexpr std::int16_t kProduceRequest = 0;
constexpr std::int16_t kFetchRequest = 1;
constexpr std::int16_t kEndTxnRequest = 26;

Schema words() { return {{{"word", Kind::kStr}, {"n", Kind::kInt}}}; }

Batch batch_of(std::initializer_list<std::pair<const char*, std::int64_t>> rows, Diff diff = 1) {
  BatchBuilder builder(words());
  std::uint64_t key = 1;
  for (const auto& [word, n] : rows) {
    const std::array row{Value::str(word), Value::of(n)};
    builder.push(Key{0, key++}, row, diff);
  }
  return builder.finish();
}

Setting kafka_args(const MockCluster& cluster, std::initializer_list<std::pair<std::string, Setting>> more) {
  Setting out = args({{"brokers", text(cluster.servers())}});
  for (const auto& entry : more) out.as_map()->push_back(entry);
  return out;
}

Result<std::unique_ptr<kafka::KafkaSink>> sink_of(const MockCluster& cluster,
                                                  std::initializer_list<std::pair<std::string, Setting>> more) {
  const Setting given = decoded("io.kafka.write", kafka_args(cluster, more));
  return std::make_unique<kafka::KafkaSink>(TRY(kafka::WriteSettings::from(given, words())), words());
}

SinkContext sink_context(Env& env) { return {.env = &env, .schema = words(), .name = "out"}; }

plan::Source word_source(const MockCluster& cluster, std::initializer_list<std::pair<std::string, Setting>> more = {}) {
  plan::Source source;
  source.connector = "io.kafka.read";
  Setting given = kafka_args(cluster, {{"topic", text("words")}, {"format", text("json")}, {"mode", text("static")}});
  for (const auto& entry : more) given.as_map()->push_back(entry);
  source.args = decoded("io.kafka.read", given);
  source.fields = {field("word", Kind::kStr), field("n", Kind::kInt)};
  source.name = "words";
  return source;
}

// Runs to its end; the context keeps what it gave.
Result<void> read_all(const plan::Source& source, CollectContext& context) {
  auto made = TRY(make_source(source, context.env()));
  return made->run(context);
}

void write_words(const MockCluster& cluster, std::initializer_list<std::pair<const char*, std::int64_t>> rows) {
  Env env = real_env();
  auto sink = sink_of(cluster, {{"topic", text("words")}, {"key", text("word")}});
  REQUIRE(sink);
  REQUIRE((*sink)->open(sink_context(env)));
  REQUIRE((*sink)->write(2, batch_of(rows)));
  REQUIRE((*sink)->end(2));
  REQUIRE((*sink)->close(true));
}

}  // namespace

// ---------------------------------------------------------------- positions

TEST_CASE("Kafka: a position is text and back") {
  kafka::Position position{"abc", {{{"orders", 0}, 42}, {{"orders", 11}, 0}, {{"b.c-d_e", 3}, 9'000'000'000}}};
  CHECK(position.to_text() == "1 abc;b.c-d_e 3:9000000000;orders 0:42 11:0");
  auto back = kafka::Position::from_text(position.to_text());
  REQUIRE(back);
  CHECK(back->cluster == "abc");
  CHECK(back->next == position.next);
  for (const char* broken : {"", "2 abc;t 0:1", "1 abc;t 0", "1 abc;t 0:x", "1 abc;t -1:4", "1 abc; 0:1"})
    CHECK_FALSE(kafka::Position::from_text(broken));
}

// ---------------------------------------------------------------- the mock cluster

TEST_CASE("Kafka: what is written is read, once, whatever the brokers answer in between") {
  const MockCluster cluster;
  cluster.topic("words", 1);
  // Errors that say nothing of whether the messages are there: the producer repeats, the brokers recognise it.
  rd_kafka_mock_push_request_errors(cluster.raw(), kProduceRequest, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                    RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                    RD_KAFKA_RESP_ERR__TRANSPORT);
  write_words(cluster, {{"a", 1}, {"b", 2}, {"c", 3}});
  rd_kafka_mock_push_request_errors(cluster.raw(), kFetchRequest, 2, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                    RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH);
  const plan::Source source = word_source(cluster);
  CollectContext context(types_of(source));
  const auto done = read_all(source, context);
  INFO((done ? "" : done.error().message));
  REQUIRE(done);
  CHECK(context.rows.texts() == std::vector<std::string>{"a|1", "b|2", "c|3"});
  CHECK(context.rows.bad.empty());
}

TEST_CASE("Kafka: a restart goes on at the position that was kept") {
  const MockCluster cluster;
  cluster.topic("words", 1);
  write_words(cluster, {{"a", 1}, {"b", 2}});
  const plan::Source source = word_source(cluster);
  CollectContext first(types_of(source));
  REQUIRE(read_all(source, first));
  REQUIRE(first.positions.size() == 1);
  write_words(cluster, {{"c", 3}});
  CollectContext second(types_of(source));
  second.resume_at(first.positions.back());
  REQUIRE(read_all(source, second));
  CHECK(second.rows.texts() == std::vector<std::string>{"c|3"});

  SECTION("a position behind the end: the topic was made anew") {
    auto position = kafka::Position::from_text(first.positions.back());
    REQUIRE(position);
    position->next.begin()->second = 1000;
    CollectContext third(types_of(source));
    third.resume_at(position->to_text());
    const auto done = read_all(source, third);
    REQUIRE_FALSE(done);
    CHECK(done.error().message.find("it was made anew or cut back") != std::string::npos);
  }
  SECTION("another cluster") {
    CollectContext third(types_of(source));
    third.resume_at("1 other;words 0:1");
    const auto done = read_all(source, third);
    REQUIRE_FALSE(done);
    CHECK(done.error().message.find("the Kafka cluster other") != std::string::npos);
  }
}

TEST_CASE("Kafka: an offset that is out of range ends the source") {
  const MockCluster cluster;
  cluster.topic("words", 1);
  write_words(cluster, {{"a", 1}});
  std::array<rd_kafka_resp_err_t, 1> errors{RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE};
  rd_kafka_mock_push_request_errors_array(cluster.raw(), kFetchRequest, errors.size(), errors.data());
  const plan::Source source = word_source(cluster);
  CollectContext context(types_of(source));
  const auto done = read_all(source, context);
  REQUIRE_FALSE(done);
  CHECK(context.rows.all.empty());
}

TEST_CASE("Kafka: brokers that go and come back cost nothing but time") {
  const MockCluster cluster;
  cluster.topic("words", 1);
  rd_kafka_mock_partition_set_leader(cluster.raw(), "words", 0, 2);
  Env env = real_env();
  auto sink = sink_of(cluster, {{"topic", text("words")}});
  REQUIRE(sink);
  REQUIRE((*sink)->open(sink_context(env)));
  REQUIRE((*sink)->write(2, batch_of({{"a", 1}})));
  REQUIRE((*sink)->end(2));
  rd_kafka_mock_broker_set_down(cluster.raw(), 2);
  std::thread repair([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    rd_kafka_mock_broker_set_up(cluster.raw(), 2);
  });
  CHECK((*sink)->write(4, batch_of({{"b", 2}})));
  const auto ended = (*sink)->end(4);
  repair.join();
  INFO((ended ? "" : ended.error().message));
  CHECK(ended);
  REQUIRE((*sink)->close(true));
  const plan::Source source = word_source(cluster);
  CollectContext context(types_of(source));
  REQUIRE(read_all(source, context));
  CHECK(context.rows.texts() == std::vector<std::string>{"a|1", "b|2"});
}

TEST_CASE("Kafka: brokers that do not come back stop the output with a reason") {
  const MockCluster cluster;
  cluster.topic("words", 1);
  Env env = real_env();
  auto sink = sink_of(cluster, {{"topic", text("words")}, {"timeout", text("2s")}});
  REQUIRE(sink);
  REQUIRE((*sink)->open(sink_context(env)));
  for (int broker = 1; broker <= 3; ++broker) rd_kafka_mock_broker_set_down(cluster.raw(), broker);
  auto done = (*sink)->write(2, batch_of({{"a", 1}}));
  if (done) done = (*sink)->end(2);
  REQUIRE_FALSE(done);
  CHECK(done.error().message.find("Kafka does not") != std::string::npos);
  REQUIRE((*sink)->close(false));
}

TEST_CASE("Kafka: exactly once survives a coordinator that is busy, and tells its progress") {
  const MockCluster cluster;
  cluster.topic("words", 1);
  cluster.topic("thalweg-progress", 1);
  Env env = real_env();
  const auto open = [&] {
    auto sink = sink_of(
        cluster, {{"topic", text("words")}, {"delivery", text("exactly_once")}, {"transactional_id", text("t.out")}});
    REQUIRE(sink);
    const auto opened = (*sink)->open(sink_context(env));
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened);
    return std::move(*sink);
  };
  {
    auto sink = open();
    CHECK(sink->last_commit() == 0);
    rd_kafka_mock_push_request_errors(cluster.raw(), kEndTxnRequest, 2, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    for (const std::uint64_t commit : {2, 4}) {
      REQUIRE(sink->write(commit, batch_of({{"a", static_cast<std::int64_t>(commit)}})));
      REQUIRE(sink->end(commit));
    }
    REQUIRE(sink->close(true));
  }
  auto sink = open();
  CHECK(sink->last_commit() == 4);
  for (const std::uint64_t commit : {2, 4, 6}) {  // the first two are there already
    REQUIRE(sink->write(commit, batch_of({{"a", static_cast<std::int64_t>(commit)}})));
    REQUIRE(sink->end(commit));
  }
  REQUIRE(sink->close(true));
  const plan::Source source = word_source(cluster);
  CollectContext context(types_of(source));
  REQUIRE(read_all(source, context));
  CHECK(context.rows.texts() == std::vector<std::string>{"a|2", "a|4", "a|6"});
}

// Run by tests/integration/kafka against a real broker, which kills it at any moment.
TEST_CASE("Kafka: a writer that is killed", "[.]") {
  const auto variable = [](const char* name) {
    return std::string(std::getenv(name) != nullptr ? std::getenv(name) : "");
  };
  const std::string brokers = variable("THALWEG_TEST_BROKERS");
  REQUIRE_FALSE(brokers.empty());
  const Schema schema{{{"row", Kind::kStr}}};
  const Setting given = decoded("io.kafka.write", args({{"brokers", text(brokers)},
                                                        {"topic", text(variable("THALWEG_TEST_TOPIC"))},
                                                        {"format", text("plaintext")},
                                                        {"delivery", text("exactly_once")},
                                                        {"transactional_id", text(variable("THALWEG_TEST_TOPIC"))}}));
  auto settings = kafka::WriteSettings::from(given, schema);
  REQUIRE(settings);
  kafka::KafkaSink sink(*settings, schema);
  Env env = real_env();
  const auto opened = sink.open({.env = &env, .schema = schema, .name = "out"});
  INFO((opened ? "" : opened.error().message));
  REQUIRE(opened);
  const std::uint64_t commits = std::stoull(variable("THALWEG_TEST_COMMITS"));
  for (std::uint64_t commit = 2; commit <= 2 * commits; commit += 2) {
    BatchBuilder builder(schema);
    for (std::uint64_t n = 0; n < 10; ++n) {
      const std::array row{Value::str("c" + std::to_string(commit) + ":" + std::to_string(n))};
      builder.push(Key{commit, n}, row);
    }
    auto done = sink.write(commit, builder.finish());
    if (done) done = sink.end(commit);
    INFO((done ? "" : done.error().message));
    REQUIRE(done);
  }
  REQUIRE(sink.close(true));
}

// ---------------------------------------------------------------- Avro

namespace {

plan::Source avro_source(std::vector<plan::SourceField> fields) {
  plan::Source source;
  source.connector = "io.kafka.read";
  source.fields = std::move(fields);
  source.name = "avro";
  return source;
}

// What a reader with this schema makes of the bytes.
Rows read_avro(const plan::Source& source, const std::string& schema, const std::string& bytes, std::string& problem) {
  const RecordLayout layout = RecordLayout::of_messages(source);
  auto parsed = AvroSchema::parse(schema);
  REQUIRE(parsed);
  auto reader = AvroReader::make(layout, *parsed);
  REQUIRE(reader);
  auto block = std::make_shared<Block>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), block->data());
  block->seal(bytes.size());
  BlockInfo info{.path = std::make_shared<const std::string>("t")};
  Rows rows(types_of(source));
  BadRowPolicy policy(BadRowPolicy::Action::kLog);
  Reporter report(rows, policy);
  const BlockRef ref = block;
  RowWriter writer(layout, ref, info, report);
  problem = (*reader)->read(ref->view().substr(0, bytes.size()), writer);
  if (problem.empty()) writer.finish_row(ref->data(), 0);
  writer.flush();
  return rows;
}

}  // namespace

TEST_CASE("Avro: what is written is read") {
  const Schema schema{{{"i", Kind::kInt},
                       {"f", Type(Kind::kFloat).as_optional()},
                       {"s", Type(Kind::kStr).as_optional()},
                       {"b", Kind::kBool},
                       {"raw", Kind::kBytes},
                       {"at", Kind::kDateTimeUtc},
                       {"d", Kind::kDuration},
                       {"l", Type::list(Type(Kind::kInt))},
                       {"j", Kind::kJson}}};
  BatchBuilder builder(schema);
  const std::int64_t at = 1'700'000'000'123'456'000;
  const std::array full{Value::of(std::int64_t{-123456789012345}),
                        Value::of(1.5),
                        Value::str("grün und länger als zwölf"),
                        Value::of(true),
                        Value::bytes(std::string("\0\xff", 2)),
                        Value::datetime_utc(at),
                        Value::duration(-5),
                        Value::tuple({Value::of(std::int64_t{1}), Value::of(std::int64_t{-64})}),
                        Value::json(R"({"a":[1]})")};
  builder.push(Key{0, 1}, full);
  auto empty = full;
  empty[1] = Value::none();
  empty[2] = Value::none();
  empty[7] = Value::tuple({});
  builder.push(Key{0, 2}, empty);
  const Batch batch = builder.finish();
  const AvroWriter writer(schema, "words-value", true);
  CHECK(writer.schema_json().starts_with(
      R"({"type":"record","name":"words_value","fields":[{"name":"i","type":"long"})"));
  std::vector<plan::SourceField> fields;
  for (const auto& column : schema.columns) fields.push_back(field(column.name, column.type));
  fields[8].type = Kind::kStr;  // composites are texts
  fields.push_back(field("diff", Kind::kInt));
  fields.push_back(field("time", Kind::kInt));
  fields.push_back(field("new", Type(Kind::kInt).as_optional()));
  for (std::size_t row = 0; row < 2; ++row) {
    std::string bytes;
    writer.row(batch, row, 8, bytes);
    std::string problem;
    const Rows rows = read_avro(avro_source(fields), writer.schema_json(), bytes, problem);
    REQUIRE(problem.empty());
    REQUIRE(rows.all.size() == 1);
    CHECK(rows.bad.empty());
    const std::string text = rows.all[0].text;
    INFO(text);
    CHECK(text.starts_with("-123456789012345|"));
    CHECK((row == 0) == (text.find("grün und länger als zwölf") != std::string::npos));
    CHECK(text.find("2023-11-14T22:13:20.123456") != std::string::npos);
    CHECK(text.find("|1|8|") != std::string::npos);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      const Rows broken = read_avro(avro_source(fields), writer.schema_json(), bytes.substr(0, cut), problem);
      CHECK_FALSE(problem.empty());
      CHECK(broken.all.empty());
    }
  }
}

TEST_CASE("Avro: named types, unions, enums, decimals, maps") {
  const char* const schema = R"({"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "PAID"]}},
    {"name": "before", "type": ["null", "State"], "default": null},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "tags", "type": {"type": "map", "values": "int"}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "skipped", "type": {"type": "array", "items": {"type": "fixed", "name": "F", "size": 2}}},
    {"name": "next", "type": ["null", "Order"]}]})";
  // PAID, OPEN by the union, -1.23, {"a": 7}, 1970-01-03, two fixed, no next.
  const std::string bytes("\x02\x02\x00\x02\x85\x02\x02\x61\x0e\x00\x04\x04wxyz\x00\x00", 18);
  const plan::Source source =
      avro_source({field("state", Kind::kStr), field("before", Type(Kind::kStr).as_optional()),
                   field("price", Kind::kFloat), field("tags", Kind::kJson), field("day", Kind::kDateTimeNaive)});
  std::string problem;
  const Rows rows = read_avro(source, schema, bytes, problem);
  REQUIRE(problem == "");
  REQUIRE(rows.all.size() == 1);
  CHECK(rows.bad.empty());
  INFO(rows.all[0].text);
  CHECK(rows.all[0].text.starts_with(R"(PAID|OPEN|-1.23|{"a":7}|1970-01-03T00:00:00)"));
  for (const char* broken : {"", "{}", R"("nosuch")", R"({"type": "record", "name": "R"})", R"(["null", )",
                             R"({"type": "record", "name": "R", "fields": [{"name": "x", "type": "nosuch"}]})"})
    CHECK_FALSE(AvroSchema::parse(broken));
}

TEST_CASE("Schema registry: frames") {
  std::string message;
  kafka::append_frame(0x01020304, message);
  message += "x";
  CHECK(kafka::framed_schema(message) == 0x01020304U);
  CHECK_FALSE(kafka::framed_schema("{\"a\": 1}"));
  CHECK_FALSE(kafka::framed_schema(message.substr(0, 4)));
}

// ---------------------------------------------------------------- Debezium

namespace {

struct ChangeMessage {
  std::string value;
  std::string key;
};

Rows read_debezium(const plan::Source& source, DebeziumDecoder::Database database,
                   const std::vector<ChangeMessage>& messages) {
  RecordLayout layout = RecordLayout::of_messages(source);
  const DebeziumDecoder decoder(layout, database, source.upsert);
  Rows rows(types_of(source));
  BadRowPolicy policy(BadRowPolicy::Action::kLog);
  Reporter report(rows, policy);
  for (const ChangeMessage& message : messages) {
    auto block = std::make_shared<Block>(message.value.size());
    std::copy(message.value.begin(), message.value.end(), block->data());
    block->seal(message.value.size());
    const BlockRef ref = block;
    const BlockInfo info{.path = std::make_shared<const std::string>("changes")};
    RowWriter writer(layout, ref, info, report);
    const auto key = message.key.empty() ? std::nullopt : std::optional<std::string_view>(message.key);
    decoder.decode(writer, ref->data(), 0, key);
    writer.flush();
  }
  return rows;
}

std::vector<std::string> changes_of(const Rows& rows) {
  std::vector<std::string> out;
  for (const Row& row : rows.all) out.push_back((row.diff > 0 ? "+" : "-") + row.text);
  return out;
}

plan::Source table_source(bool upsert) {
  plan::Source source;
  source.connector = "io.debezium.read";
  source.fields = {key_field("id", Kind::kInt), field("name", Kind::kStr)};
  source.upsert = upsert;
  source.name = "changes";
  return source;
}

}  // namespace

TEST_CASE("Debezium: Postgres, by key and as rows") {
  const std::vector<ChangeMessage> messages = {
      {R"({"payload": {"before": null, "after": {"id": 1, "name": "a"}, "source": {"lsn": 1}, "op": "r"}})",
       R"({"payload": {"id": 1}})"},
      {R"({"before": null, "after": {"id": 2, "name": "b\n"}, "op": "c"})", R"({"id": 2})"},
      {R"({"before": {"id": 1, "name": "a"}, "after": {"id": 1, "name": "z"}, "op": "u"})", R"({"id": 1})"},
      {R"({"before": {"id": 2, "name": "b\n"}, "after": null, "op": "d"})", R"({"id": 2})"},
      {"", R"({"id": 2})"},
      {R"({"op": "m", "message": {}})", ""},
  };
  SECTION("rows") {
    const Rows rows = read_debezium(table_source(false), DebeziumDecoder::Database::kPostgres, messages);
    CHECK(changes_of(rows) == std::vector<std::string>{"+1|a", "+2|b\n", "-1|a", "+1|z", "-2|b\n"});
    CHECK(rows.bad.empty());
  }
  SECTION("by key") {
    const Rows rows = read_debezium(table_source(true), DebeziumDecoder::Database::kPostgres, messages);
    REQUIRE(rows.all.size() == 4);
    CHECK(rows.all[2].text == "1|z");
    CHECK(rows.all[0].key == rows.all[2].key);
    CHECK(rows.all[3].diff == -1);
    CHECK(rows.all[3].key == rows.all[1].key);
    CHECK(rows.bad.empty());
  }
  SECTION("a truncation") {
    const std::vector<ChangeMessage> truncated = {messages[0], {R"({"op": "t"})", ""}};
    const Rows rows = read_debezium(table_source(true), DebeziumDecoder::Database::kPostgres, truncated);
    CHECK(rows.bad.empty());
    CHECK(rows.all.size() == 1 + kVirtualShards);
    CHECK(read_debezium(table_source(false), DebeziumDecoder::Database::kPostgres, truncated).bad.size() == 1);
  }
  SECTION("without `before`") {
    const std::vector<ChangeMessage> change = {{R"({"before": null, "after": {"id": 1, "name": "z"}, "op": "u"})", ""}};
    const Rows rows = read_debezium(table_source(false), DebeziumDecoder::Database::kPostgres, change);
    REQUIRE(rows.bad.size() == 1);
    CHECK(rows.bad[0].message.find("REPLICA IDENTITY FULL") != std::string::npos);
    CHECK(read_debezium(table_source(true), DebeziumDecoder::Database::kPostgres, change).bad.empty());
  }
}

TEST_CASE("Debezium: MongoDB") {
  plan::Source source = table_source(true);
  source.fields = {key_field("_id", Kind::kStr), field("n", Kind::kInt)};
  const Rows rows = read_debezium(
      source, DebeziumDecoder::Database::kMongo,
      {{R"({"payload": {"after": "{\"_id\": {\"$oid\": \"65a1\"}, \"n\": {\"$numberLong\": \"7\"}}", "op": "c"}})",
        R"({"payload": {"id": "{\"$oid\": \"65a1\"}"}})"},
       {R"({"payload": {"after": null, "op": "d"}})", R"({"payload": {"id": "{\"$oid\": \"65a1\"}"}})"}});
  for (const BadRecord& bad : rows.bad) UNSCOPED_INFO(bad.message);
  CHECK(rows.bad.empty());
  REQUIRE(rows.all.size() == 2);
  CHECK(rows.all[0].text == "65a1|7");
  CHECK(rows.all[1].diff == -1);
  CHECK(rows.all[0].key == rows.all[1].key);
}

TEST_CASE("Debezium: messages that are none are bad records") {
  const Rows rows = read_debezium(table_source(true), DebeziumDecoder::Database::kPostgres,
                                  {{"no json", ""},
                                   {R"({"id": 1, "name": "a"})", ""},
                                   {R"({"op": "x", "after": {}})", ""},
                                   {R"({"op": "d", "before": null})", ""},
                                   {R"({"op": "c", "after": {"id": "x", "name": 1}})", ""},
                                   {R"({"op": "c", "after": 5})", ""}});
  CHECK(rows.all.empty());
  CHECK(rows.bad.size() >= 6);
}

}  // namespace thalweg
