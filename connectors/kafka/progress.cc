#include "connectors/kafka/progress.h"

#include <array>
#include <chrono>

#include <fmt/format.h>

#include "connectors/formats/json_object.h"
#include "engine/types/from_text.h"

namespace thalweg::kafka {

namespace {

struct NewTopicDeleter {
  void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
};
struct QueueDeleter {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
struct EventDeleter {
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};
struct OptionsDeleter {
  void operator()(rd_kafka_AdminOptions_t* options) const { rd_kafka_AdminOptions_destroy(options); }
};
}  // namespace

std::string Progress::record(std::uint64_t commit) { return fmt::format(R"({{"commit":{}}})", commit); }

Result<void> Progress::make_topic(const Client& producer, int timeout_ms) const {
  if (auto there = producer.partitions(topic_, timeout_ms); there || there.error().code != Code::kNotFound) {
    if (!there) return fail(std::move(there).error());
    return {};
  }
  std::array<char, 512> why{};
  const std::unique_ptr<rd_kafka_NewTopic_t, NewTopicDeleter> topic(
      rd_kafka_NewTopic_new(topic_.c_str(), 1, -1, why.data(), why.size()));
  if (!topic) return fail(Code::kInvalidPipeline, fmt::format("the progress topic `{}`: {}", topic_, why.data()));
  std::ignore = rd_kafka_NewTopic_set_config(topic.get(), "cleanup.policy", "compact");
  const std::unique_ptr<rd_kafka_queue_t, QueueDeleter> queue(rd_kafka_queue_new(producer.raw()));
  const std::unique_ptr<rd_kafka_AdminOptions_t, OptionsDeleter> options(
      rd_kafka_AdminOptions_new(producer.raw(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  std::ignore = rd_kafka_AdminOptions_set_operation_timeout(options.get(), timeout_ms, why.data(), why.size());
  rd_kafka_NewTopic_t* topics[] = {topic.get()};
  rd_kafka_CreateTopics(producer.raw(), topics, 1, options.get(), queue.get());
  const std::unique_ptr<rd_kafka_event_t, EventDeleter> event(rd_kafka_queue_poll(queue.get(), timeout_ms));
  rd_kafka_resp_err_t error = event ? rd_kafka_event_error(event.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    std::size_t count = 0;
    const auto* const results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
    if (count > 0) error = rd_kafka_topic_result_error(results[0]);
  }
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return {};
  return fail(Code::kUnavailable,
              fmt::format("the progress topic `{}` cannot be made: {}; make it by hand, with one partition and "
                          "cleanup.policy=compact",
                          topic_, text_of(error)));
}

Result<std::uint64_t> Progress::read(const Client& producer, const Settings& settings, int timeout_ms) const {
  Settings reader = settings;
  reader.emplace_back("group.id", name_);
  reader.emplace_back("isolation.level", "read_committed");
  reader.emplace_back("enable.partition.eof", "true");
  auto consumer = TRY(Consumer::open(std::move(reader)));
  Offsets left;
  for (const std::int32_t id : TRY(producer.partitions(topic_, timeout_ms)))
    left[{topic_, id}] = TRY(consumer->watermarks({topic_, id}, timeout_ms)).low;
  TRY(consumer->assign(left));
  std::uint64_t last = 0;
  const std::int64_t deadline = now_ms() + timeout_ms;
  std::array<rd_kafka_message_t*, 1024> messages{};
  while (!left.empty()) {
    if (now_ms() > deadline)
      return fail(Code::kUnavailable, fmt::format("the progress topic `{}` cannot be read in time", topic_));
    const std::size_t count = consumer->take(messages, 100);
    for (std::size_t i = 0; i < count; ++i) {
      const MessagePtr message(messages[i]);
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) left.erase({topic_, message->partition});
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR || message->payload == nullptr) continue;
      if (std::string_view(static_cast<const char*>(message->key), message->key_len) != name_) continue;
      const auto object = json::JsonObject::parse({static_cast<const char*>(message->payload), message->len});
      const auto commit = object ? int_from_text(object->find("commit")) : std::nullopt;
      if (!commit || *commit < 0)
        return fail(Code::kBadData, fmt::format("the progress topic `{}` holds no progress under `{}`", topic_, name_));
      last = std::max(last, static_cast<std::uint64_t>(*commit));
    }
  }
  return last;
}

}  // namespace thalweg::kafka
