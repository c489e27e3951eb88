#include "connectors/generator/descriptor.h"

#include <fmt/format.h>

#include "connectors/file/infer.h"
#include "connectors/generator/generator.h"
#include "connectors/generator/replay.h"
#include "connectors/setting_reader.h"

namespace thalweg {

namespace {

using config::OptionSpec;
using config::OptionType;

plan::SourceField float_field(std::string name, bool primary_key = false) {
  return {.name = name, .external_name = name, .type = Type(Kind::kFloat), .primary_key = primary_key};
}

std::vector<OptionSpec> pace_options(std::string rows, std::string rows_doc) {
  return {
      {.name = "nb_rows", .type = OptionType::kInt, .fallback = std::move(rows), .doc = std::move(rows_doc), .min = 0},
      {.name = "input_rate",
       .type = OptionType::kFloat,
       .fallback = "1.0",
       .doc = "rows per second; 0: as fast as they are taken",
       .min = 0},
      {.name = "autocommit_duration_ms",
       .type = OptionType::kInt,
       .fallback = "1000",
       .doc = "rows of this span are one transaction",
       .min = 0},
      {.name = "seed", .type = OptionType::kInt, .fallback = "0", .doc = "equal seeds give equal rows"}};
}

GeneratorSettings pace_from(const Setting& args) {
  SettingReader read(args);
  GeneratorSettings s;
  if (read.has("nb_rows")) s.rows = static_cast<std::uint64_t>(read.integer("nb_rows", 0));
  s.rate = read.number("input_rate", 1.0);
  s.commit_ns = read.integer("autocommit_duration_ms", 1000) * 1'000'000;
  s.seed = static_cast<std::uint64_t>(read.integer("seed", 0));
  return s;
}

ConnectorDescriptor source_row(std::string name, std::string doc, std::string example,
                               std::vector<OptionSpec> options) {
  ConnectorDescriptor out;
  out.spec = {.name = std::move(name),
              .role = config::ConnectorSpec::Role::kSource,
              .doc = std::move(doc),
              .example = std::move(example),
              .options = std::move(options)};
  return out;
}

auto fixed_shape(std::vector<plan::SourceField> fields) {
  return [fields = std::move(fields)](const Setting&, const std::vector<plan::SourceField>&,
                                      Env&) -> Result<plan::SourceShape> {
    plan::SourceShape shape;
    shape.fields = fields;
    shape.append_only = true;
    return shape;
  };
}

ConnectorDescriptor range_stream() {
  auto options = pace_options("30", "how many rows there are");
  options.push_back({.name = "offset", .type = OptionType::kInt, .fallback = "0", .doc = "the first value"});
  auto out = source_row("demo.range_stream", "The numbers from `offset` on, in the column `value`.",
                        "!demo.range_stream {nb_rows: 50, input_rate: 10}", std::move(options));
  out.spec.takes_schema = false;
  out.describe = fixed_shape({float_field("value")});
  out.delivery = Delivery::kExactlyOnce;
  out.make_source = [](const plan::Source& source, Env&) -> Result<std::unique_ptr<Source>> {
    auto offset = static_cast<double>(SettingReader(source.args).integer("offset", 0));
    std::vector<CellMaker> makers = {
        [offset](std::uint64_t row, CellRandom&) { return Value::of(offset + static_cast<double>(row)); }};
    return std::make_unique<GeneratorSource>(source, pace_from(source.args), std::move(makers));
  };
  return out;
}

ConnectorDescriptor noisy_linear_stream() {
  auto out = source_row("demo.noisy_linear_stream", "x = 0, 1, 2, …, and y = x with noise from [-1, 1).",
                        "!demo.noisy_linear_stream {nb_rows: 100, input_rate: 10}",
                        pace_options("10", "how many rows there are"));
  out.spec.takes_schema = false;
  out.describe = fixed_shape({float_field("x", true), float_field("y")});
  out.delivery = Delivery::kExactlyOnce;
  out.make_source = [](const plan::Source& source, Env&) -> Result<std::unique_ptr<Source>> {
    std::vector<CellMaker> makers = {
        [](std::uint64_t row, CellRandom&) { return Value::of(static_cast<double>(row)); },
        [](std::uint64_t row, CellRandom& r) { return Value::of(static_cast<double>(row) + 2 * r.unit() - 1); }};
    return std::make_unique<GeneratorSource>(source, pace_from(source.args), std::move(makers));
  };
  return out;
}

Result<std::unique_ptr<Source>> make_custom(const plan::Source& source, Env& env) {
  const Setting* generators = SettingReader(source.args).map("value_generators");
  if (!generators)
    return fail(Code::kInvalidPipeline, "`value_generators` must be a mapping of columns", source.args.span);
  std::vector<CellMaker> makers;
  for (const auto& field : source.fields) {
    const Setting* spec = generators->find(field.name);
    if (!spec && field.default_value) {
      makers.push_back([value = *field.default_value](std::uint64_t, CellRandom&) { return value; });
      continue;
    }
    if (!spec)
      return fail(Code::kInvalidPipeline, fmt::format("`value_generators` has nothing for column `{}`", field.name),
                  generators->span);
    makers.push_back(TRY(maker_from(*spec, field.type, env)));
  }
  for (const auto& [name, spec] : *generators->as_map())
    if (std::none_of(source.fields.begin(), source.fields.end(), [&](const auto& f) { return f.name == name; }))
      return fail(Code::kInvalidPipeline,
                  fmt::format("`value_generators` names column `{}`, which the schema does not have", name), spec.span);
  return std::make_unique<GeneratorSource>(source, pace_from(source.args), std::move(makers));
}

ConnectorDescriptor custom_stream() {
  auto options = pace_options("", "how many rows there are; default: without end");
  options.push_back({.name = "value_generators",
                     .type = OptionType::kAny,
                     .required = true,
                     .doc = "column → a constant, or one of {sequence: {start, step}}, {cycle: […]}, {choice: […]}, "
                            "{uniform: [low, high]}, {normal: [mean, deviation]}, {word: length}, {now: true}",
                     .example = "{id: {sequence: {start: 1}}, amount: {uniform: [1, 100]}}"});
  auto out =
      source_row("demo.generate_custom_stream", "Rows made column by column.",
                 "!demo.generate_custom_stream {schema: $s, value_generators: {id: {sequence: {}}, w: {word: 5}}}",
                 std::move(options));
  out.spec.needs_schema = true;
  out.describe = fixed_shape({});
  out.delivery = Delivery::kExactlyOnce;
  out.make_source = make_custom;
  return out;
}

ConnectorDescriptor replay(std::string name, std::string doc, std::string example, std::vector<OptionSpec> own) {
  std::vector<OptionSpec> options = {
      {.name = "path", .type = OptionType::kPath, .required = true, .doc = "the csv file"}};
  for (OptionSpec& option : own) options.push_back(std::move(option));
  auto out = source_row(std::move(name), std::move(doc), std::move(example), std::move(options));
  out.delivery = Delivery::kExactlyOnce;
  out.make_source = make_replay;
  out.describe = [](const Setting& args, const std::vector<plan::SourceField>& schema,
                    Env& env) -> Result<plan::SourceShape> {
    plan::SourceShape shape;
    shape.append_only = true;
    if (!schema.empty()) return shape;
    auto settings = TRY(FileReadSettings::from("io.csv.read", args, *env.disk));
    auto inferred = TRY(infer_fields(settings, *env.disk));
    shape.inferred = true;
    shape.fields = std::move(inferred.fields);
    shape.warnings = std::move(inferred.warnings);
    return shape;
  };
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> generator_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(range_stream());
  out.push_back(noisy_linear_stream());
  out.push_back(custom_stream());
  out.push_back(replay(
      "demo.replay_csv", "A csv file as a stream, at a rate.", "!demo.replay_csv {path: ./x.csv, input_rate: 10}",
      {{.name = "input_rate", .type = OptionType::kFloat, .fallback = "1.0", .doc = "rows per second"},
       {.name = "autocommit_ms", .type = OptionType::kInt, .doc = "accepted for compatibility", .min = 0}}));
  out.push_back(replay(
      "demo.replay_csv_with_time", "A csv file as a stream, its rows as far apart as a time column says.",
      "!demo.replay_csv_with_time {path: ./x.csv, time_column: t, speedup: 60}",
      {{.name = "time_column", .required = true, .doc = "a number or a datetime, rising"},
       {.name = "unit",
        .type = OptionType::kEnum,
        .fallback = "s",
        .doc = "of a time column of numbers",
        .choices = {"s", "ms", "us", "ns"}},
       {.name = "autocommit_ms",
        .type = OptionType::kInt,
        .fallback = "100",
        .doc = "rows of this span are one transaction",
        .min = 0},
       {.name = "speedup", .type = OptionType::kFloat, .fallback = "1", .doc = "how much faster than it happened"}}));
  return out;
}

}  // namespace thalweg
