// daemon/log.h
//
// The log: one line per event on stderr, `time level message key=value …`, or one JSON object.
// Threads  any.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace thalweg::daemon {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogField {
  std::string_view name;
  std::string value;
};

// Once, at the start of a command.
void set_up_log(LogLevel level, LogFormat format);
void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace thalweg::daemon
