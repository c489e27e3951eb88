#include "connectors/functions/remote_options.h"

#include <algorithm>
#include <optional>
#include <string>

#include "config/decode.h"
#include "connectors/setting_reader.h"

namespace thalweg::functions {

namespace {

using plan::FunctionError;

std::unexpected<FunctionError> wrong_option(std::string message, std::string option) {
  FunctionError out;
  out.message = std::move(message);
  out.option = std::move(option);
  return std::unexpected(std::move(out));
}

constexpr double kSecondsMax = 86'400;

// Seconds, or a text such as `500ms`.
std::optional<double> seconds(const Setting& value) {
  const auto ns = config::as_duration(value, 1'000'000'000);
  if (!ns) return std::nullopt;
  const double s = static_cast<double>(*ns) / 1e9;
  return s > 0 && s <= kSecondsMax ? std::optional(s) : std::nullopt;
}

std::expected<void, FunctionError> read_retries(const Setting& strategy, const std::string& option, Retries& out) {
  const SettingReader read(strategy);
  const bool none = strategy.tag.ends_with("NoRetryStrategy");
  const bool fixed = strategy.tag.ends_with("FixedDelayRetryStrategy");
  if (!none && !fixed && !strategy.tag.ends_with("ExponentialBackoffRetryStrategy"))
    return wrong_option("`" + option +
                            "` is `!udfs.ExponentialBackoffRetryStrategy {…}`, `!udfs.FixedDelayRetryStrategy {…}` or "
                            "`!udfs.NoRetryStrategy`",
                        option);
  out = {};
  if (none) return {};
  out.max = read.integer("max_retries", 3);
  out.first_delay_ms = read.number(fixed ? "delay_ms" : "initial_delay", 1000);
  out.factor = fixed ? 1 : read.number("backoff_factor", 2);
  out.jitter_ms = fixed ? 0 : read.number("jitter_ms", 300);
  if (out.max < 0 || out.max > 100) return wrong_option("`max_retries` is between 0 and 100", option);
  if (!(out.first_delay_ms >= 0 && out.first_delay_ms <= 3.6e6))
    return wrong_option("a delay is between 0 and 3600000 milliseconds", option);
  if (!(out.factor >= 1 && out.factor <= 100) || !(out.jitter_ms >= 0 && out.jitter_ms <= 3.6e6))
    return wrong_option("`backoff_factor` is between 1 and 100, `jitter_ms` at least 0", option);
  return {};
}

std::expected<void, FunctionError> read_cache(const Setting& cache, RemoteOptions& out) {
  constexpr std::size_t kEntries = 1'000'000;
  out.cache_entries = kEntries;
  if (const bool* flag = cache.as_bool()) {
    if (!*flag) out.cache_entries = 0;
    out.cache_outlives = *flag;
    return {};
  }
  if (!cache.tag.ends_with("InMemoryCache") && !cache.tag.ends_with("DiskCache") &&
      !cache.tag.ends_with("DefaultCache"))
    return wrong_option(
        "`cache_strategy` is `!udfs.InMemoryCache {max_size}`, `!udfs.DiskCache {}`, `!udfs.DefaultCache {}` or true",
        "cache_strategy");
  out.cache_outlives = !cache.tag.ends_with("InMemoryCache");
  const std::int64_t size = SettingReader(cache).integer("max_size", kEntries);
  if (size < 1) return wrong_option("`max_size` is at least 1", "cache_strategy");
  out.cache_entries = static_cast<std::size_t>(size);
  return {};
}

// Of the tag's own arguments, or of an executor's block.
std::expected<void, FunctionError> read_calls(const Setting& options, std::string option, RemoteOptions& out) {
  const SettingReader read(options);
  const auto name = [&](const char* own) { return option.empty() ? std::string(own) : option; };
  if (read.has("capacity")) {
    const std::int64_t capacity = read.integer("capacity", 0);
    if (capacity < 1 || capacity > 1024) return wrong_option("`capacity` is between 1 and 1024", name("capacity"));
    out.capacity = static_cast<std::size_t>(capacity);
  }
  if (read.has("timeout")) {
    const auto limit = seconds(*options.find("timeout"));
    if (!limit)
      return wrong_option("`timeout` is a number of seconds, or a duration such as `500ms`, of a day at most",
                          name("timeout"));
    out.timeout_ms = std::max<std::int64_t>(1, static_cast<std::int64_t>(*limit * 1000));
  }
  if (read.has("retry_strategy"))
    if (auto ok = read_retries(*options.find("retry_strategy"), name("retry_strategy"), out.retries); !ok) return ok;
  return {};
}

}  // namespace

std::expected<RemoteOptions, FunctionError> remote_options(const Setting& options, const RemoteOptions& defaults) {
  RemoteOptions out = defaults;
  const SettingReader read(options);
  if (const Setting* executor = read.map("executor")) {
    if (executor->tag.ends_with("sync_executor") && !executor->tag.ends_with("async_executor")) out.capacity = 1;
    if (auto ok = read_calls(*executor, "executor", out); !ok) return std::unexpected(ok.error());
  }
  if (auto ok = read_calls(options, "", out); !ok) return std::unexpected(ok.error());
  if (read.has("retries")) {
    if (read.has("retry_strategy")) return wrong_option("`retries` and `retry_strategy` exclude each other", "retries");
    out.retries.max = read.integer("retries", 0);
    if (out.retries.max < 0 || out.retries.max > 100) return wrong_option("`retries` is between 0 and 100", "retries");
  }
  if (read.has("cache_strategy"))
    if (auto ok = read_cache(*options.find("cache_strategy"), out); !ok) return std::unexpected(ok.error());
  if (read.has("max_batch_size")) {
    const std::int64_t rows = read.integer("max_batch_size", 0);
    if (rows < 1 || rows > 65'536) return wrong_option("`max_batch_size` is between 1 and 65536", "max_batch_size");
    out.batch_rows = static_cast<std::size_t>(rows);
  }
  return out;
}

}  // namespace thalweg::functions
