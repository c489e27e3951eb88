#include <catch2/catch.hpp>

#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Texts = std::vector<std::string>;

namespace {

plan::Source source_of(const std::string& connector, Setting given, std::vector<plan::SourceField> fields) {
  plan::Source source;
  source.connector = connector;
  source.name = "s";
  source.args = decoded(connector, given);
  source.fields = std::move(fields);
  return source;
}

// Runs to the end; waiting takes no time but moves the clock.
struct FakeClock final : Clock {
  std::int64_t now = 0;
  std::int64_t wall_ns() override { return now; }
  std::int64_t monotonic_ns() override { return now; }
};

struct Ran {
  Texts rows;
  std::vector<Key> keys;
  std::size_t commits = 0;
  std::int64_t ns = 0;
};

Ran run(const plan::Source& source) {
  Env env = real_env();
  auto clock = std::make_shared<FakeClock>();
  env.clock = clock;
  auto made = make_source(source, env);
  INFO((made ? "" : made.error().message));
  REQUIRE(made);
  class Context final : public SourceContext {
   public:
    Context(std::vector<Type> types, Env env, std::shared_ptr<FakeClock> clock)
        : rows(std::move(types)), env_(std::move(env)), clock_(std::move(clock)) {}
    bool deliver(std::unique_ptr<Piece> piece) override { return piece->decode(rows), true; }
    bool deliver(Batch batch) override { return rows.rows(std::move(batch)), true; }
    void commit(std::string) override { ++commits; }
    void idle() override {}
    void bad_record(BadRecord record) override { rows.bad_record(std::move(record)); }
    void warn(std::string) override {}
    [[nodiscard]] bool stopping() const override { return false; }
    bool wait(std::int64_t ns, int) override { return clock_->now += ns, true; }
    Env& env() override { return env_; }
    [[nodiscard]] const std::string& resume_position() const override { return position_; }
    Rows rows;
    std::size_t commits = 0;

   private:
    Env env_;
    std::shared_ptr<FakeClock> clock_;
    std::string position_;
  } context(types_of(source), env, clock);
  REQUIRE((*made)->run(context));
  Ran out{context.rows.texts(), {}, context.commits, clock->now};
  for (const Row& row : context.rows.all) out.keys.push_back(row.key);
  return out;
}

}  // namespace

TEST_CASE("range_stream: numbers at their rate") {
  auto source =
      source_of("demo.range_stream", args({{"nb_rows", text("4")}, {"offset", text("10")}, {"input_rate", text("2")}}),
                {field("value", Kind::kFloat)});
  Ran ran = run(source);
  CHECK(ran.rows == Texts{"10.0", "11.0", "12.0", "13.0"});
  CHECK(ran.ns >= 1'400'000'000);
  CHECK(ran.ns < 1'700'000'000);
  CHECK(run(source).keys == ran.keys);
}

TEST_CASE("noisy_linear_stream: y is near x, the key is x's") {
  auto source = source_of("demo.noisy_linear_stream", args({{"nb_rows", text("100")}, {"input_rate", text("0")}}),
                          {key_field("x", Kind::kFloat), field("y", Kind::kFloat)});
  Ran ran = run(source);
  REQUIRE(ran.rows.size() == 100);
  CHECK(ran.keys[3] == key_of_values({Value::of(3.0)}));
  for (std::size_t i = 0; i < 100; ++i) {
    double y = std::stod(ran.rows[i].substr(ran.rows[i].find('|') + 1));
    CHECK(std::abs(y - static_cast<double>(i)) <= 1.0);
  }
}

TEST_CASE("G1: custom streams are the same every time") {
  Setting makers =
      args({{"i", args({{"sequence", args({{"start", text("5")}, {"step", text("2")}})}})},
            {"c", args({{"cycle", Setting(Setting::List{text("a"), text("b")})}})},
            {"u", args({{"uniform", Setting(Setting::List{Setting(std::int64_t{1}), Setting(std::int64_t{3})})}})},
            {"w", args({{"word", Setting(std::int64_t{4})}})},
            {"k", text("const")}});
  auto source = source_of("demo.generate_custom_stream",
                          args({{"nb_rows", text("50")}, {"input_rate", text("0")}, {"value_generators", makers}}),
                          {field("i", Kind::kInt), field("c", Kind::kStr), field("u", Kind::kInt),
                           field("w", Kind::kStr), field("k", Kind::kStr)});
  Ran ran = run(source);
  REQUIRE(ran.rows.size() == 50);
  CHECK(ran.rows[0].starts_with("5|a|"));
  CHECK(ran.rows[1].starts_with("7|b|"));
  CHECK(ran.rows[0].ends_with("|const"));
  CHECK(run(source).rows == ran.rows);
  Env env = real_env();
  source.fields.push_back(field("z", Kind::kInt));
  CHECK(make_source(source, env).error().message == "`value_generators` has nothing for column `z`");
}

TEST_CASE("replay_csv_with_time: as far apart as the times say") {
  TempDir dir;
  std::string path = dir.write("x.csv", "t,v\n100,a\n110,b\n110,c\n140,d\n");
  auto source = source_of(
      "demo.replay_csv_with_time",
      args({{"path", text(path)}, {"time_column", text("t")}, {"speedup", text("10")}, {"autocommit_ms", text("1")}}),
      {field("t", Kind::kInt), field("v", Kind::kStr)});
  source.fields[0].used = false;
  Ran ran = run(source);
  CHECK(ran.rows == Texts{"a", "b", "c", "d"});
  CHECK(ran.commits == 3);
  CHECK(ran.ns == 4'000'000'000);
}

TEST_CASE("replay_csv: at a rate") {
  TempDir dir;
  auto source = source_of("demo.replay_csv",
                          args({{"path", text(dir.write("x.csv", "v\na\nb\nc\n"))}, {"input_rate", text("4")}}),
                          {field("v", Kind::kStr)});
  Ran ran = run(source);
  CHECK(ran.rows == Texts{"a", "b", "c"});
  CHECK(ran.ns == 500'000'000);
}

}  // namespace thalweg
