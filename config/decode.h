// config/decode.h
//
// Settings checked against their table: canonical names, types as declared, defaults filled in, every error with its
// place and the nearest valid name. Also used by sections of the daemon's configuration.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/option_spec.h"
#include "engine/base/result.h"
#include "engine/base/setting.h"

namespace thalweg::config {

struct DecodeOptions {
  std::string what;  // for messages: "`io.csv.read`"
  // Makes a path relative to the file it stands in; empty: left alone.
  std::function<std::string(const Setting& value)> resolve_path;
  bool required_checked = false;  // the caller has reported what is missing
};

// Requires: `given` is a map or null. Errors are appended; the result holds what was right.
[[nodiscard]] Setting decode(const Setting& given, std::span<const OptionSpec> specs, const DecodeOptions& options,
                             std::vector<Error>& errors);

// `X.NAME`, `pw.X.name`, `name` against choices, case-insensitive.
[[nodiscard]] std::optional<std::string> match_choice(std::string_view text, std::span<const std::string> choices);

// Whether the value of a kPathOrTable is a path.
[[nodiscard]] bool is_path(std::string_view path_or_table);

[[nodiscard]] std::string_view type_text(OptionType type);  // `text`, `int`, …

// A scalar read as a type, whatever it was written as: `5`, `"5"` and an environment's 5 are all ints.
[[nodiscard]] std::optional<std::string> as_text(const Setting& value);
[[nodiscard]] std::optional<std::int64_t> as_int(const Setting& value);  // `_` between digits, 0x, 0b, 0o
[[nodiscard]] std::optional<double> as_float(const Setting& value);
[[nodiscard]] std::optional<bool> as_bool(const Setting& value);  // true false yes no on off y n
[[nodiscard]] std::optional<std::int64_t> as_duration(const Setting& value, std::int64_t unit_ns);
// For messages: `text "abc"`, `a list`, `***` for secrets.
[[nodiscard]] std::string describe(const Setting& value);

}  // namespace thalweg::config
