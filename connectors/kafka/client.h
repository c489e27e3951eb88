// connectors/kafka/client.h
//
// librdkafka with owners, results and words for people. Nothing outside of this folder sees the library.
//
// C1  Offsets are ours: nothing is committed or stored by the library itself, and an offset that is out of range is an
//     error, never a jump (`auto.offset.reset=error`).
// C2  Values of settings that may be secret are in no message.
#pragma once

#include <librdkafka/rdkafka.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::kafka {

// Names and values as librdkafka spells them, in order; of equal names the last counts.
using Settings = std::vector<std::pair<std::string, std::string>>;
enum class Role : std::uint8_t { kConsumer, kProducer };

struct Partition {
  std::string topic;
  std::int32_t id = 0;
  friend auto operator<=>(const Partition&, const Partition&) = default;
};
using Offsets = std::map<Partition, std::int64_t>;

inline constexpr std::int64_t kNsPerMs = 1'000'000;
// Of a clock that only goes forward.
[[nodiscard]] std::int64_t now_ms();

[[nodiscard]] bool is_secret_setting(std::string_view name);
// The library knows the setting, and takes the value.
[[nodiscard]] Result<void> check_setting(const std::string& name, const std::string& value);
// It takes all of them together.
[[nodiscard]] Result<void> check_settings(Role role, const Settings& settings);

struct MessageDeleter {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using MessagePtr = std::unique_ptr<rd_kafka_message_t, MessageDeleter>;

// Threads  as the library: any.
class Client {
 public:
  using DeliveryCallback = void (*)(rd_kafka_t*, const rd_kafka_message_t*, void*);
  // `on_delivery` gets `owner` as its last argument.
  static Result<std::unique_ptr<Client>> make(Role role, const Settings& settings,
                                              DeliveryCallback on_delivery = nullptr, void* owner = nullptr);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] rd_kafka_t* raw() const { return client_; }
  // What went wrong in the background since the last call (a broker that is gone); empty if nothing did.
  [[nodiscard]] std::string take_problem();
  // Why no broker was reached, for an error after a time limit.
  [[nodiscard]] std::string last_problem() const;
  // kUnavailable: no broker within the time; kNotFound: there is no such topic.
  [[nodiscard]] Result<std::vector<std::int32_t>> partitions(const std::string& topic, int timeout_ms) const;
  // `max.message.bytes` of the topic. Nothing: the brokers do not say it (there is no such topic, or we may not ask).
  [[nodiscard]] std::optional<std::size_t> message_bytes_max(const std::string& topic, int timeout_ms) const;

 private:
  explicit Client(void* owner) : owner_(owner) {}
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  void note(std::string problem);

  void* owner_;
  DeliveryCallback on_delivery_ = nullptr;
  rd_kafka_t* client_ = nullptr;
  mutable std::mutex mutex_;
  std::string problem_;       // guarded by mutex_; not yet taken
  std::string last_problem_;  // guarded by mutex_
};

struct Watermarks {
  std::int64_t low = 0;
  std::int64_t high = 0;  // where the next message will be
};

// Reads partitions that it is told to read, at offsets that it is told.
// Threads  one at a time.
class Consumer {
 public:
  static Result<std::unique_ptr<Consumer>> open(Settings settings);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  [[nodiscard]] Client& client() { return *client_; }
  [[nodiscard]] Result<Watermarks> watermarks(const Partition& partition, int timeout_ms) const;
  // As far as the library has seen; nothing is asked.
  [[nodiscard]] Watermarks seen_watermarks(const Partition& partition) const;
  // The first offset at or after a time for each; the end where there is none.
  [[nodiscard]] Result<Offsets> offsets_at(const std::vector<Partition>& partitions, std::int64_t unix_ms,
                                           int timeout_ms) const;
  // Of the consumer group; partitions without one are left out.
  [[nodiscard]] Result<Offsets> committed(const std::vector<Partition>& partitions, int timeout_ms) const;
  // From here on exactly these are read; what was fetched of others is forgotten.
  [[nodiscard]] Result<void> assign(const Offsets& next);
  // Waits for a message and takes all that are there, at most messages.size(). The caller owns them.
  [[nodiscard]] std::size_t take(std::span<rd_kafka_message_t*> messages, int wait_ms);
  // The message at this offset. kNotFound: Kafka does not have it any more.
  [[nodiscard]] Result<MessagePtr> message_at(const Partition& partition, std::int64_t offset, int timeout_ms);
  // For tools that look at the group's lag; nobody here reads them. Errors are ignored.
  void commit_for_information(const Offsets& next) const;

 private:
  Consumer() = default;
  std::unique_ptr<Client> client_;
  rd_kafka_queue_t* queue_ = nullptr;
};

[[nodiscard]] std::string text_of(rd_kafka_resp_err_t error);

}  // namespace thalweg::kafka
