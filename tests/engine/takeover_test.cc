// What a new plan keeps of the running one.
#include "engine/runtime/takeover.h"

#include <catch2/catch.hpp>

#include "engine/plan/fingerprint.h"
#include "engine/plan/rewrite/liveness.h"

namespace thalweg::tests {
namespace {

using plan::ExprKind;

struct Shape {
  std::int64_t limit = 3;  // of the filter over the groups
  plan::ReducerKind kind = plan::ReducerKind::kSum;
  std::string path = "./in";   // of the source
  bool second_groups = false;  // another groupby over the projected words
  std::string label = "$counts";
  bool exported = false;
};

// source(word, n) → project → groupby(word; kind(n)) → filter(total > limit) → output
plan::Plan make(const Shape& shape) {
  plan::Plan out;
  Schema words{{{"word", Kind::kStr}, {"n", Kind::kInt}}};
  Schema totals{{{"word", Kind::kStr}, {"total", Kind::kInt}}};
  plan::Source source;
  source.connector = "io.csv.read";
  source.args = Setting(Setting::Map{{"path", Setting(shape.path)}});
  for (const ColumnSpec& column : words.columns)
    source.fields.push_back(
        {.name = column.name, .external_name = column.name, .type = column.type, .default_value = std::nullopt});
  NodeId read = out.add({.schema = words, .params = source});
  plan::Project same{{plan::column(0, Kind::kStr), plan::column(1, Kind::kInt)}};
  NodeId project = out.add({.inputs = {read}, .schema = words, .params = same});
  auto groupby = [&](plan::ReducerKind kind, const std::string& label) {
    plan::GroupBy group;
    group.by = {0};
    plan::Reducer reducer;
    reducer.kind = kind;
    reducer.args = {1};
    reducer.type = Kind::kInt;
    group.reducers = {reducer};
    return out.add({.inputs = {project}, .schema = totals, .params = group, .label = label});
  };
  NodeId groups = groupby(shape.kind, shape.label);
  plan::Filter filter{
      plan::call(">", {plan::column(1, Kind::kInt), plan::literal(Value::of(shape.limit), Kind::kInt)}, Kind::kBool)};
  NodeId big = out.add({.inputs = {groups}, .schema = totals, .params = filter});
  out.add({.inputs = {big}, .params = plan::Output{.connector = "io.csv.write", .name = "out"}});
  if (shape.second_groups) {
    NodeId second = groupby(plan::ReducerKind::kMax, "$second");
    out.add({.inputs = {second}, .params = plan::Output{.connector = "io.null.write", .name = "second"}});
  }
  if (shape.exported)
    out.add({.inputs = {project}, .params = plan::Export{.name = "words", .indexes = {}, .retain_ns = std::nullopt}});
  return out;
}

Takeover between(const Shape& before, const Shape& after, std::uint32_t workers = 1) {
  plan::Plan old = make(before);
  plan::Plan next = make(after);
  std::vector<Key> old_prints = plan::fingerprints(old);
  std::vector<Key> next_prints = plan::fingerprints(next);
  plan::mark_liveness(old);
  plan::mark_liveness(next);
  return plan_takeover(old, old_prints, next, next_prints, workers);
}

std::string kept_text(const Takeover& takeover) {
  std::string out;
  for (std::size_t i = 0; i < takeover.kept.size(); ++i) out += takeover.filled[i] ? 'f' : takeover.kept[i] ? 'k' : '-';
  return out;
}

}  // namespace

TEST_CASE("a changed filter: everything above it is kept, and the groups tell their rows again") {
  Takeover takeover = between({.limit = 3}, {.limit = 5, .label = "$renamed"});
  REQUIRE(takeover.possible);
  CHECK(kept_text(takeover) == "kkf--");
}

TEST_CASE("nothing changed: everything is kept") { CHECK(kept_text(between({}, {})) == "kkkkk"); }

TEST_CASE("a changed reducer needs the words again, and nothing holds them") {
  Takeover takeover = between({}, {.kind = plan::ReducerKind::kMax});
  CHECK_FALSE(takeover.possible);
  CHECK_FALSE(takeover.why_not.empty());
}

TEST_CASE("an exported table fills what is new, where one worker holds all of it") {
  Shape exported{.exported = true};
  Shape more{.second_groups = true, .exported = true};
  CHECK(between(exported, more).possible);
  CHECK_FALSE(between(exported, more, 2).possible);
  CHECK(kept_text(between(exported, more)) == "kfkkk--k");
}

TEST_CASE("another source is read by a plan of its own") { CHECK_FALSE(between({}, {.path = "./other"}).possible); }

TEST_CASE("fingerprints see constants, not names") {
  CHECK(plan::fingerprint(make({})) == plan::fingerprint(make({.label = "$other"})));
  CHECK(plan::fingerprint(make({})) != plan::fingerprint(make({.limit = 4})));
  plan::Plan secret = make({});
  plan::Plan other = make({});
  for (plan::Plan* plan : {&secret, &other}) {
    Setting password(std::string(plan == &secret ? "one" : "two"));
    password.secret = true;
    std::get<plan::Source>(plan->nodes[0].params).args = Setting(Setting::Map{{"password", password}});
  }
  CHECK(plan::to_text(secret) == plan::to_text(other));
  CHECK(plan::fingerprint(secret) != plan::fingerprint(other));
}

}  // namespace thalweg::tests
