// connectors/kafka/schema_registry.h
//
// A schema registry with Confluent's interface, and the frame that messages have because of it: a zero byte, the number
// of the schema (four bytes, big-endian), then the content.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/option_spec.h"
#include "connectors/formats/avro.h"
#include "connectors/net/http_pool.h"
#include "connectors/setting_reader.h"

namespace thalweg::kafka {

struct RegistrySettings {
  std::vector<std::string> urls;  // the first that answers is used
  std::string authorization;      // secret; the value of that header
  std::vector<std::pair<std::string, std::string>> headers;
  std::int64_t timeout_ms = 10'000;

  // Of `schema_registry_settings`; nothing if there are none.
  static Result<std::optional<RegistrySettings>> from(const SettingReader& args);
};
[[nodiscard]] config::OptionSpec registry_option();

inline constexpr std::size_t kFrameBytes = 5;
// The number of the schema; nothing if the message has no frame.
[[nodiscard]] std::optional<std::uint32_t> framed_schema(std::string_view message);
void append_frame(std::uint32_t schema, std::string& out);

// Threads  any.
class SchemaRegistry {
 public:
  explicit SchemaRegistry(RegistrySettings settings) : settings_(std::move(settings)) {}
  struct Schema {
    std::string type;  // AVRO, JSON, PROTOBUF
    std::string text;
  };
  // kNotFound: there is none of that number; kUnavailable: no registry answers.
  [[nodiscard]] Result<Schema> schema(std::uint32_t id);
  // Registers it, or finds the number that it has. kBadData: the registry refuses it (it is not compatible).
  [[nodiscard]] Result<std::uint32_t> add(const std::string& subject, const Schema& schema);

 private:
  [[nodiscard]] Result<net::HttpResponse> request(const std::string& method, const std::string& target,
                                                  const std::string& body);
  const RegistrySettings settings_;
  net::HttpPool pool_;
};

// The Avro schemas of the messages of a source: asked for on the reading thread, used by workers.
class AvroSchemas {
 public:
  AvroSchemas(const RecordLayout& layout, RegistrySettings settings)
      : layout_(layout), registry_(std::move(settings)) {}
  // After it, `find` knows the schema, or why there is none. kUnavailable: no registry answers.
  [[nodiscard]] Result<void> fetch(std::uint32_t id);
  struct Entry {
    std::shared_ptr<const AvroReader> reader;  // null: see `problem`
    std::string problem;
  };
  [[nodiscard]] Entry find(std::uint32_t id) const;

 private:
  const RecordLayout& layout_;
  SchemaRegistry registry_;
  mutable std::mutex mutex_;
  std::map<std::uint32_t, Entry> entries_;  // guarded by mutex_
};

// A JSON Schema of a table's rows as they are written.
[[nodiscard]] std::string json_schema_of(const thalweg::Schema& schema, const std::string& title, bool with_change);

}  // namespace thalweg::kafka
