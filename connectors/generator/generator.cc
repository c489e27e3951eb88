#include "connectors/generator/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

#include "connectors/file/source.h"
#include "connectors/formats/text_value.h"
#include "connectors/setting_reader.h"

namespace thalweg {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kTickNs = 5'000'000;

std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
  return x ^ x >> 31;
}

// A number as the column's type has it.
Value number_as(const Type& type, double v) {
  if (type.is(Kind::kInt)) return Value::of(static_cast<std::int64_t>(std::llround(v)));
  if (type.is(Kind::kDuration)) return Value::duration(static_cast<std::int64_t>(v));
  return Value::of(v);
}

std::optional<double> number_of(const Setting& s) {
  if (const double* v = s.as_float()) return *v;
  if (const std::int64_t* v = s.as_int()) return static_cast<double>(*v);
  if (const std::string* v = s.as_text()) return float_from_token(*v);
  return std::nullopt;
}

std::unexpected<Error> wrong(const Setting& spec, std::string what) {
  return fail(
      Error{Code::kInvalidPipeline,
            std::move(what),
            spec.span,
            {{"a column is made by a constant or one of sequence, cycle, choice, uniform, normal, word, now", {}}}});
}

Result<Value> constant_of(const Setting& spec, const Type& type) {
  if (spec.is_null()) return Value::none();
  std::string text;
  if (spec.as_bool())
    text = *spec.as_bool() ? "true" : "false";
  else if (spec.as_int())
    text = std::to_string(*spec.as_int());
  else if (spec.as_float())
    text = fmt::format("{}", *spec.as_float());
  else if (spec.as_text())
    text = *spec.as_text();
  else
    return wrong(spec, "a constant must be a scalar");
  if (auto value = token_to_value(type, text)) return *value;
  return wrong(spec, fmt::format("`{}` is not {}", text, type.to_text()));
}

Result<std::vector<Value>> constants_of(const Setting& spec, const Type& type) {
  const Setting::List* list = spec.as_list();
  if (!list || list->empty()) return wrong(spec, "expected a list of values that is not empty");
  std::vector<Value> out;
  for (const Setting& item : *list) out.push_back(TRY(constant_of(item, type)));
  return out;
}

Result<std::pair<double, double>> two_numbers(const Setting& spec) {
  const Setting::List* list = spec.as_list();
  auto a = list && list->size() == 2 ? number_of((*list)[0]) : std::nullopt;
  auto b = list && list->size() == 2 ? number_of((*list)[1]) : std::nullopt;
  if (!a || !b) return wrong(spec, "expected two numbers");
  return std::pair{*a, *b};
}

Result<CellMaker> sequence_maker(const Setting& spec, const Type& type) {
  SettingReader read(spec);
  const Setting* start = spec.find("start");
  const Setting* step = spec.find("step");
  double first = start ? number_of(*start).value_or(0) : 0;
  double by = step ? number_of(*step).value_or(1) : 1;
  return [=](std::uint64_t row, CellRandom&) { return number_as(type, first + static_cast<double>(row) * by); };
}

Result<CellMaker> uniform_maker(const Setting& spec, const Type& type) {
  auto [low, high] = TRY(two_numbers(spec));
  if (high < low) return wrong(spec, "the upper bound is below the lower one");
  if (type.is(Kind::kInt))
    return [low = static_cast<std::int64_t>(low), count = static_cast<std::uint64_t>(high - low) + 1](
               std::uint64_t, CellRandom& r) { return Value::of(low + static_cast<std::int64_t>(r.next() % count)); };
  return [=, low = low, high = high](std::uint64_t, CellRandom& r) {
    return number_as(type, low + (high - low) * r.unit());
  };
}

CellMaker word_maker(std::size_t length) {
  return [length](std::uint64_t, CellRandom& r) {
    std::string word;
    for (std::size_t i = 0; i < length; ++i) word += static_cast<char>('a' + r.next() % 26);
    return Value::str(std::move(word));
  };
}

CellMaker now_maker(const Type& type, const std::shared_ptr<Clock>& clock) {
  return [type, clock](std::uint64_t, CellRandom&) {
    std::int64_t ns = clock->wall_ns();
    if (type.is(Kind::kDateTimeUtc)) return Value::datetime_utc(ns);
    if (type.is(Kind::kDateTimeNaive)) return Value::datetime_naive(ns);
    if (type.is(Kind::kFloat)) return Value::of(static_cast<double>(ns) / 1e9);
    return Value::of(ns / 1'000'000);
  };
}

}  // namespace

CellRandom::CellRandom(std::uint64_t seed, std::uint64_t column, std::uint64_t row)
    : state_(mix(mix(seed ^ column * 0xD6E8FEB86659FD93ULL) ^ row)) {}
std::uint64_t CellRandom::next() { return mix(state_++); }
double CellRandom::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
double CellRandom::normal() {
  double radius = std::sqrt(-2 * std::log(1 - unit()));
  return radius * std::cos(2 * std::numbers::pi * unit());
}

Result<CellMaker> maker_from(const Setting& spec, const Type& type, Env& env) {
  const Setting::Map* map = spec.as_map();
  if (!map) {
    Value value = TRY(constant_of(spec, type));
    return [value](std::uint64_t, CellRandom&) { return value; };
  }
  if (map->size() != 1) return wrong(spec, "expected one way to make the column");
  const auto& [kind, argument] = map->front();
  if (kind == "sequence") return sequence_maker(argument, type);
  if (kind == "uniform") return uniform_maker(argument, type);
  if (kind == "cycle" || kind == "choice") {
    auto values = std::make_shared<const std::vector<Value>>(TRY(constants_of(argument, type)));
    bool in_turn = kind == "cycle";
    return [values, in_turn](std::uint64_t row, CellRandom& r) {
      return (*values)[(in_turn ? row : r.next()) % values->size()];
    };
  }
  if (kind == "normal") {
    auto [mean, deviation] = TRY(two_numbers(argument));
    return [type, mean = mean, deviation = deviation](std::uint64_t, CellRandom& r) {
      return number_as(type, mean + deviation * r.normal());
    };
  }
  if (kind == "word") {
    double length = number_of(argument).value_or(0);
    if (!(length >= 1 && length <= 1000) || !type.is(Kind::kStr))
      return wrong(argument, "`word` takes a length from 1 to 1000, in a text column");
    return word_maker(static_cast<std::size_t>(length));
  }
  if (kind == "now") return now_maker(type, env.clock);
  return wrong(spec, fmt::format("there is no way `{}` to make a column", kind));
}

Batch GeneratorSource::make_rows(std::uint64_t first, std::size_t count) const {
  bool has_primary_key =
      std::any_of(source_.fields.begin(), source_.fields.end(), [](const auto& f) { return f.primary_key; });
  std::vector<ColumnBuilder> builders;
  for (const auto& f : source_.fields)
    if (f.used) builders.emplace_back(f.type, count);
  std::vector<Key> keys;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<Value> key;
    std::size_t column = 0;
    for (std::size_t c = 0; c < source_.fields.size(); ++c) {
      const auto& f = source_.fields[c];
      bool for_key = f.primary_key && source_.needs_keys;
      if (!f.used && !for_key) continue;
      CellRandom random(settings_.seed, c, first + i);
      Value value = makers_[c](first + i, random);
      if (f.used) builders[column++].push_value(f.type, value);
      if (for_key) key.push_back(std::move(value));
    }
    if (source_.needs_keys && has_primary_key) keys.push_back(key_of_values(key));
  }
  Batch batch;
  batch.num_rows = count;
  for (ColumnBuilder& builder : builders) batch.columns.push_back(builder.finish());
  if (source_.needs_keys)
    batch.keys =
        has_primary_key ? KeyColumn(std::move(keys)) : KeyColumn::sequence(key_source_of(source_.name, ""), first);
  return batch;
}

Result<void> GeneratorSource::run(SourceContext& context) {
  Clock& clock = *context.env().clock;
  const std::int64_t began = clock.monotonic_ns();
  std::int64_t committed = began;
  // A restart goes on with the row after the last one that was committed, at the same pace.
  const std::string& position = context.resume_position();
  const std::uint64_t first = position.empty() ? 0 : std::strtoull(position.c_str(), nullptr, 10);
  std::uint64_t made = first;
  const std::uint64_t end = settings_.rows.value_or(~std::uint64_t{0});
  bool open = false;
  while (made < end) {
    std::int64_t now = clock.monotonic_ns();
    // The first row comes at once, row i after i / rate seconds.
    std::uint64_t due =
        settings_.rate > 0
            ? first + static_cast<std::uint64_t>(static_cast<double>(now - began) / kSecond * settings_.rate) + 1
            : made + kChunkRows;
    due = std::min(due, end);
    if (due > made) {
      std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(due - made, kChunkRows));
      if (!context.deliver(make_rows(made, count))) return {};
      made += count;
      open = true;
    }
    if (open && (now - committed >= settings_.commit_ns || made == end)) {
      context.commit(std::to_string(made));
      committed = now;
      open = false;
    }
    if (settings_.rate <= 0 || made < due || made == end) {
      if (context.stopping()) return {};
      continue;
    }
    auto next_ns = began + static_cast<std::int64_t>(static_cast<double>(made - first) / settings_.rate * kSecond);
    if (open) next_ns = std::min(next_ns, committed + settings_.commit_ns);
    if (!open) context.idle();
    if (!context.wait(
            std::max<std::int64_t>(next_ns - clock.monotonic_ns(), settings_.rate > 200 ? kTickNs : kTickNs / 50)))
      return {};
  }
  return {};
}

}  // namespace thalweg
