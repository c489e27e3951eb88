#include "daemon/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

#include "daemon/json_writer.h"

namespace thalweg::daemon {
namespace {

LogFormat g_format = LogFormat::kText;  // set before threads begin

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> kLogger = spdlog::stderr_color_mt(
      "thalweg", std::getenv("NO_COLOR") ? spdlog::color_mode::never : spdlog::color_mode::automatic);
  return *kLogger;
}

bool needs_quotes(std::string_view value) {
  return value.empty() || value.find_first_of(" \"=\n\r\t\\") != std::string_view::npos;
}

std::string text_line(std::string_view message, std::initializer_list<LogField> fields) {
  std::string line(message);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    if (needs_quotes(field.value))
      append_json_string(field.value, line);
    else
      line += field.value;
  }
  return line;
}

// The head of the object comes from the pattern, so this is its rest.
std::string json_line(std::string_view message, std::initializer_list<LogField> fields) {
  std::string line;
  append_json_string(message, line);
  for (const LogField& field : fields) {
    line += ',';
    append_json_string(field.name, line);
    line += ':';
    append_json_string(field.value, line);
  }
  return line;
}

}  // namespace

void set_up_log(LogLevel level, LogFormat format) {
  g_format = format;
  logger().set_level(to_spdlog(level));
  logger().set_pattern(format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%v})"
                                                  : "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v",
                       spdlog::pattern_time_type::utc);
}

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!logger().should_log(to_spdlog(level))) return;
  logger().log(to_spdlog(level), "{}",
               g_format == LogFormat::kJson ? json_line(message, fields) : text_line(message, fields));
}

}  // namespace thalweg::daemon
