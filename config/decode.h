// config/decode.h
//
// Settings checked against their table: canonical names, types as declared, defaults filled in, every error with its
// place and the nearest valid name. Also used by sections of the daemon's configuration.
#pragma once

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
  // Makes a path absolute or relative to where it stands; null: left alone.
  std::string (*resolve_path)(const void* context, const Setting& value) = nullptr;
  const void* context = nullptr;
};

// Requires: `given` is a map or null. Errors are appended; the result holds what was right.
[[nodiscard]] Setting decode(const Setting& given, std::span<const OptionSpec> specs, const DecodeOptions& options,
                             std::vector<Error>& errors);

// `1h30m`, `2h3min`, `-2m`, `D`, `PT5M`, `90 seconds`; nanoseconds. None for a plain number and for what is no duration.
[[nodiscard]] std::optional<std::int64_t> duration_from_text(std::string_view text);
// `X.NAME`, `pw.X.name`, `name` against choices, case-insensitive.
[[nodiscard]] std::optional<std::string> match_choice(std::string_view text, std::span<const std::string> choices);

[[nodiscard]] std::string_view type_text(OptionType type);  // `text`, `int`, …

}  // namespace thalweg::config
