// config/option_spec.h
//
// How a setting is declared: one row, from which checking, help, documentation and the editor schema come.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace thalweg::config {

enum class OptionType : std::uint8_t {
  kText,
  kPath,         // relative to the file it stands in; URLs stay as they are
  kPathOrTable,  // with a `/` or a `.` a path, else the name of a table that is exported
  kInt,
  kFloat,
  kBool,
  kDuration,  // decoded to int nanoseconds; `5m`, `1h30m`, `PT5M`; a plain number is of `unit_ns`
  kEnum,      // one of `choices`, case-insensitive, `X.NAME` and `pw.X.NAME` too; decoded to the spelling of `choices`
  kTextList,  // a single text is a list of one
  kMap,       // with `fields`; others are errors unless `open`
  kTextMap,   // any keys, texts as values (`rdkafka_settings`)
  kList,      // of anything
  kAny,       // anything, as it is
  kTable,     // a table of the pipeline by name, for a sink with more than one; decoded to its name
};

struct OptionSpec {
  std::string name;
  OptionType type = OptionType::kText;
  bool required = false;
  std::string fallback;  // default, as one would write it; empty: none (the connector sees no such setting)
  std::string doc;
  std::vector<std::string> aliases;
  std::vector<std::string> choices;  // kEnum
  std::vector<OptionSpec> fields;    // kMap
  bool secret = false;               // the value is secret wherever it comes from
  bool open = false;                 // kMap: other keys are kept as they are
  std::int64_t unit_ns = 1'000'000'000;
  double min = -std::numeric_limits<double>::infinity();  // kInt, kFloat; inclusive
  double max = std::numeric_limits<double>::infinity();
  std::string example;
};

// One connector as the language sees it. Arguments that the language itself handles are not listed: `schema`, `name`,
// `table` of sinks, `id_column`, `primary_key`, `key_generation`, `session_type`, and on every table tag `export`,
// `index`, `retain`.
struct ConnectorSpec {
  enum class Role : std::uint8_t { kSource, kSink };
  std::string name;  // `io.csv.read`
  Role role = Role::kSource;
  std::string doc;
  std::string example;
  std::vector<std::string> aliases;
  std::vector<OptionSpec> options;
  bool takes_schema = true;        // sources: `schema:` is allowed
  bool needs_schema = false;       // sources: `schema:` is required; else describe_source tells the columns
  bool upsert_by_default = false;  // keyed streams (Kafka, HTTP push, exec): with a primary key, rows replace by key
};

}  // namespace thalweg::config
