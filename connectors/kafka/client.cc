#include "connectors/kafka/client.h"

#include <chrono>
#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

namespace thalweg::kafka {

namespace {

constexpr std::size_t kErrorBytes = 512;

struct ListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
};
using ListPtr = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;

ListPtr list_of(const Offsets& offsets) {
  ListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const auto& [partition, offset] : offsets)
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.id)->offset = offset;
  return list;
}

Offsets same_offset(const std::vector<Partition>& partitions, std::int64_t offset) {
  Offsets out;
  for (const Partition& partition : partitions) out[partition] = offset;
  return out;
}

struct ConfigDeleter {
  void operator()(rd_kafka_conf_t* config) const { rd_kafka_conf_destroy(config); }
};
using ConfigPtr = std::unique_ptr<rd_kafka_conf_t, ConfigDeleter>;

Result<void> set(rd_kafka_conf_t* config, const std::string& name, const std::string& value) {
  std::array<char, kErrorBytes> why{};
  switch (rd_kafka_conf_set(config, name.c_str(), value.c_str(), why.data(), why.size())) {
    case RD_KAFKA_CONF_OK: return {};
    case RD_KAFKA_CONF_UNKNOWN:
      return fail(Code::kInvalidPipeline,
                  fmt::format("`{}` is not a setting of librdkafka {}", name, rd_kafka_version_str()));
    case RD_KAFKA_CONF_INVALID: break;
  }
  if (is_secret_setting(name))
    return fail(Code::kInvalidPipeline, fmt::format("the value of the Kafka setting `{}` is not possible", name));
  return fail(Code::kInvalidPipeline, fmt::format("the Kafka setting `{}`: {}", name, why.data()));
}

Result<ConfigPtr> config_of(const Settings& settings) {
  ConfigPtr config(rd_kafka_conf_new());
  for (const auto& [name, value] : settings) TRY(set(config.get(), name, value));
  return config;
}

Error unavailable(std::string what, rd_kafka_resp_err_t error, const Client& client) {
  std::string message = std::move(what) + ": " + text_of(error);
  if (const std::string problem = client.last_problem(); !problem.empty()) message += " (" + problem + ")";
  return Error{Code::kUnavailable, std::move(message), {}, {}};
}

}  // namespace

std::string text_of(rd_kafka_resp_err_t error) { return rd_kafka_err2str(error); }

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool is_secret_setting(std::string_view name) {
  return std::ranges::any_of(std::array{"password", "secret", "key.pem", "key.", "jaas", "token", "oauthbearer.config"},
                             [&](const char* part) { return name.contains(part); });
}

Result<void> check_setting(const std::string& name, const std::string& value) {
  return set(ConfigPtr(rd_kafka_conf_new()).get(), name, value);
}

Result<void> check_settings(Role role, const Settings& settings) {
  auto config = TRY(config_of(settings));
  const bool asks_for_threads = std::ranges::any_of(settings, [](const auto& entry) { return entry.first == "debug"; });
  if (asks_for_threads) return {};
  // What contradicts itself is only found when a client is made; it connects to nobody before it is asked to.
  std::array<char, kErrorBytes> why{};
  const auto type = role == Role::kConsumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
  std::ignore = rd_kafka_conf_set(config.get(), "bootstrap.servers", "", nullptr, 0);
  rd_kafka_conf_set_log_cb(config.get(), [](const rd_kafka_t*, int, const char*, const char*) {});
  rd_kafka_t* client = rd_kafka_new(type, config.get(), why.data(), why.size());
  if (client == nullptr) return fail(Code::kInvalidPipeline, fmt::format("these Kafka settings: {}", why.data()));
  std::ignore = config.release();
  rd_kafka_destroy(client);
  return {};
}

// ---------------------------------------------------------------- client

void Client::on_error(rd_kafka_t*, int, const char* reason, void* self) { static_cast<Client*>(self)->note(reason); }

void Client::note(std::string problem) {
  const std::lock_guard lock(mutex_);
  last_problem_ = problem;
  problem_ = std::move(problem);
}

std::string Client::take_problem() {
  const std::lock_guard lock(mutex_);
  return std::exchange(problem_, {});
}

std::string Client::last_problem() const {
  const std::lock_guard lock(mutex_);
  return last_problem_;
}

Result<std::unique_ptr<Client>> Client::make(Role role, const Settings& settings, DeliveryCallback on_delivery,
                                             void* owner) {
  auto config = TRY(config_of(settings));
  std::unique_ptr<Client> out(new Client(owner));
  out->on_delivery_ = on_delivery;
  rd_kafka_conf_set_opaque(config.get(), out.get());
  rd_kafka_conf_set_error_cb(config.get(), on_error);
  // What the library would print are problems like those of the error callback.
  rd_kafka_conf_set_log_cb(config.get(), [](const rd_kafka_t* client, int level, const char*, const char* text) {
    constexpr int kWarning = 4;
    if (level <= kWarning) static_cast<Client*>(rd_kafka_opaque(client))->note(text);
  });
  if (on_delivery != nullptr)
    rd_kafka_conf_set_dr_msg_cb(config.get(), [](rd_kafka_t* client, const rd_kafka_message_t* message, void* self) {
      const auto* const of = static_cast<Client*>(self);
      of->on_delivery_(client, message, of->owner_);
    });
  std::array<char, kErrorBytes> why{};
  const auto type = role == Role::kConsumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
  out->client_ = rd_kafka_new(type, config.get(), why.data(), why.size());
  if (out->client_ == nullptr) return fail(Code::kInvalidPipeline, fmt::format("these Kafka settings: {}", why.data()));
  std::ignore = config.release();
  return out;
}

Client::~Client() {
  if (client_ != nullptr) rd_kafka_destroy(client_);
}

Result<std::vector<std::int32_t>> Client::partitions(const std::string& topic, int timeout_ms) const {
  rd_kafka_topic_t* handle = rd_kafka_topic_new(client_, topic.c_str(), nullptr);
  if (handle == nullptr)
    return fail(Code::kInvalidPipeline, fmt::format("`{}` cannot be the name of a Kafka topic", topic));
  const struct rd_kafka_metadata* found = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_metadata(client_, 0, handle, &found, timeout_ms);
  rd_kafka_topic_destroy(handle);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(unavailable(fmt::format("Kafka does not say what partitions topic `{}` has", topic), error, *this));
  std::vector<std::int32_t> out;
  const rd_kafka_resp_err_t topic_error =
      found->topic_cnt == 1 ? found->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  if (topic_error == RD_KAFKA_RESP_ERR_NO_ERROR)
    for (int i = 0; i < found->topics[0].partition_cnt; ++i) out.push_back(found->topics[0].partitions[i].id);
  rd_kafka_metadata_destroy(found);
  if (topic_error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || (out.empty() && topic_error == 0))
    return fail(Code::kNotFound, fmt::format("there is no Kafka topic `{}`", topic));
  if (topic_error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(unavailable(fmt::format("Kafka topic `{}` cannot be used", topic), topic_error, *this));
  std::ranges::sort(out);
  return out;
}

std::optional<std::size_t> Client::message_bytes_max(const std::string& topic, int timeout_ms) const {
  rd_kafka_ConfigResource_t* asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str());
  if (asked == nullptr) return std::nullopt;
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  std::ignore = rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, nullptr, 0);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client_);
  rd_kafka_DescribeConfigs(client_, &asked, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, timeout_ms);
  std::optional<std::size_t> out;
  const rd_kafka_DescribeConfigs_result_t* result =
      event != nullptr && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR
          ? rd_kafka_event_DescribeConfigs_result(event)
          : nullptr;
  std::size_t resources = 0;
  const rd_kafka_ConfigResource_t** found =
      result != nullptr ? rd_kafka_DescribeConfigs_result_resources(result, &resources) : nullptr;
  if (resources == 1 && rd_kafka_ConfigResource_error(found[0]) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    std::size_t count = 0;
    const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(found[0], &count);
    for (const rd_kafka_ConfigEntry_t* entry : std::span(entries, count)) {
      const char* value = rd_kafka_ConfigEntry_value(entry);
      if (value == nullptr || std::string_view(rd_kafka_ConfigEntry_name(entry)) != "max.message.bytes") continue;
      if (const std::uint64_t bytes = std::strtoull(value, nullptr, 10); bytes > 0) out = bytes;
    }
  }
  if (event != nullptr) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy(asked);
  return out;
}

// ---------------------------------------------------------------- consumer

Result<std::unique_ptr<Consumer>> Consumer::open(Settings settings) {
  settings.emplace_back("enable.auto.commit", "false");
  settings.emplace_back("enable.auto.offset.store", "false");
  settings.emplace_back("auto.offset.reset", "error");
  std::unique_ptr<Consumer> out(new Consumer);
  out->client_ = TRY(Client::make(Role::kConsumer, settings));
  rd_kafka_poll_set_consumer(out->client_->raw());
  out->queue_ = rd_kafka_queue_get_consumer(out->client_->raw());
  if (out->queue_ == nullptr) return fail(Code::kInvalidPipeline, "reading Kafka takes a consumer group (`group.id`)");
  return out;
}

Consumer::~Consumer() {
  if (queue_ == nullptr) return;
  rd_kafka_consumer_close(client_->raw());
  rd_kafka_queue_destroy(queue_);
}

Result<Watermarks> Consumer::watermarks(const Partition& partition, int timeout_ms) const {
  Watermarks out;
  const rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(client_->raw(), partition.topic.c_str(),
                                                                     partition.id, &out.low, &out.high, timeout_ms);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(unavailable(
        fmt::format("Kafka does not say where {}/{} begins and ends", partition.topic, partition.id), error, *client_));
  return out;
}

Watermarks Consumer::seen_watermarks(const Partition& partition) const {
  Watermarks out;
  if (rd_kafka_get_watermark_offsets(client_->raw(), partition.topic.c_str(), partition.id, &out.low, &out.high) !=
      RD_KAFKA_RESP_ERR_NO_ERROR)
    return {};
  return out;
}

Result<Offsets> Consumer::offsets_at(const std::vector<Partition>& partitions, std::int64_t unix_ms,
                                     int timeout_ms) const {
  const ListPtr list = list_of(same_offset(partitions, unix_ms));
  const rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(client_->raw(), list.get(), timeout_ms);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(unavailable("Kafka does not say which offsets belong to the time to start at", error, *client_));
  Offsets out;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& entry = list->elems[i];
    const Partition partition{entry.topic, entry.partition};
    if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(unavailable("Kafka does not say which offsets belong to the time to start at", entry.err, *client_));
    out[partition] = entry.offset >= 0 ? entry.offset : TRY(watermarks(partition, timeout_ms)).high;
  }
  return out;
}

Result<Offsets> Consumer::committed(const std::vector<Partition>& partitions, int timeout_ms) const {
  const ListPtr list = list_of(same_offset(partitions, RD_KAFKA_OFFSET_INVALID));
  const rd_kafka_resp_err_t error = rd_kafka_committed(client_->raw(), list.get(), timeout_ms);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(unavailable("Kafka does not say where the consumer group stands", error, *client_));
  Offsets out;
  for (int i = 0; i < list->cnt; ++i)
    if (list->elems[i].offset >= 0) out[{list->elems[i].topic, list->elems[i].partition}] = list->elems[i].offset;
  return out;
}

Result<void> Consumer::assign(const Offsets& next) {
  const rd_kafka_resp_err_t error = rd_kafka_assign(client_->raw(), list_of(next).get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(unavailable("Kafka does not take the partitions to read", error, *client_));
  return {};
}

std::size_t Consumer::take(std::span<rd_kafka_message_t*> messages, int wait_ms) {
  // The library's batch call waits until the batch is full or the time is over; so the first message is waited for
  // alone.
  messages[0] = rd_kafka_consume_queue(queue_, wait_ms);
  if (messages[0] == nullptr) return 0;
  if (messages.size() == 1) return 1;
  const ssize_t more = rd_kafka_consume_batch_queue(queue_, 0, messages.data() + 1, messages.size() - 1);
  return 1 + static_cast<std::size_t>(std::max<ssize_t>(more, 0));
}

Result<MessagePtr> Consumer::message_at(const Partition& partition, std::int64_t offset, int timeout_ms) {
  const auto gone = [&] {
    return fail(Code::kNotFound, fmt::format("Kafka does not have the message {}/{}@{} any more", partition.topic,
                                             partition.id, offset));
  };
  const Watermarks range = TRY(watermarks(partition, timeout_ms));
  if (offset < range.low || offset >= range.high) return gone();
  TRY(assign({{partition, offset}}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  constexpr int kWaitMs = 100;
  while (std::chrono::steady_clock::now() < deadline) {
    rd_kafka_message_t* raw = nullptr;
    if (take({&raw, 1}, kWaitMs) == 0) continue;
    MessagePtr message(raw);
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
      return gone();
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;  // a broker that is away may come back
    if (message->offset == offset) return message;
    return gone();  // compaction has taken it
  }
  return fail(
      unavailable(fmt::format("Kafka does not give the message {}/{}@{}", partition.topic, partition.id, offset),
                  RD_KAFKA_RESP_ERR__TIMED_OUT, *client_));
}

void Consumer::commit_for_information(const Offsets& next) const {
  if (!next.empty()) rd_kafka_commit(client_->raw(), list_of(next).get(), 1);
}

}  // namespace thalweg::kafka
