// daemon/console.h
//
// What commands print for people: diagnostics with color on a terminal, sizes and durations in few digits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/file_table.h"
#include "engine/base/result.h"
#include "pipeline_lang/diagnostics.h"

namespace thalweg::daemon {

// stderr is a terminal, or color is asked for; NO_COLOR is honoured.
[[nodiscard]] bool stderr_has_color();
[[nodiscard]] bool stderr_is_terminal();
[[nodiscard]] bool stdout_is_terminal();

void print_diagnostics(const lang::Diagnostics& diagnostics, const FileTable& files);  // to stderr
void print_error(const Error& error, const FileTable* files);                          // to stderr
// `thalweg: message` to stderr.
void complain(std::string_view message);

[[nodiscard]] std::string short_count(double value);    // 950, 1.2k, 3.4M
[[nodiscard]] std::string short_bytes(double bytes);    // 950 B, 1.2 KB
[[nodiscard]] std::string short_seconds(double value);  // 0.053 s, 12.3 s, 3m20s

}  // namespace thalweg::daemon
