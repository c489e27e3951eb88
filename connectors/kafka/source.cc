#include "connectors/kafka/source.h"

#include <algorithm>

#include <fmt/format.h>

namespace thalweg::kafka {

namespace {

constexpr std::size_t kMessagesMax = 8192;       // of one transaction
constexpr std::size_t kPieceBytesMax = 1 << 20;  // unless a single message is larger
constexpr int kPollMs = 100;                     // how soon a stop is seen
constexpr std::int64_t kRetryNs = 200 * kNsPerMs;
constexpr std::int64_t kInformationNs = 5'000 * kNsPerMs;

Offsets next_of(const auto& readings) {
  Offsets out;
  for (const auto& reading : readings) out[reading->partition] = reading->next;
  return out;
}

// The messages of a call that nobody has taken over yet.
class Owned {
 public:
  explicit Owned(std::span<rd_kafka_message_t*> messages) : messages_(messages) {}
  ~Owned() {
    for (rd_kafka_message_t* message : messages_) rd_kafka_message_destroy(message);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

 private:
  std::span<rd_kafka_message_t*> messages_;
};

}  // namespace

Result<void> KafkaSource::run(SourceContext& context) {
  const ReadSettings& settings = shared_->settings;
  if (!settings.dead_letter.empty()) TRY(BadRowPolicy::check_dead_letters(context.env(), settings.dead_letter));
  consumer_ = TRY(Consumer::open(settings.client));
  TRY(start(context));
  std::vector<rd_kafka_message_t*> messages(settings.records_max == 0 ? kMessagesMax
                                                                      : std::min(kMessagesMax, settings.records_max));
  while (!context.stopping() && !torn_ && !all_done()) {
    const std::size_t count = consumer_->take(messages, poll_ms(context));
    TRY(take(std::span(messages).first(count), context));
    commit_if_due(context);
    if (shared_->policy->failed()) return {};
    if (count == 0 && !open_) context.idle();
    note_lag(context);
    TRY(look_around(context));
  }
  if (torn_) return {};
  if (open_ || (settings.is_static && all_done())) context.commit(position().to_text());
  if (settings.commits_group_offsets) inform_group(context);
  return {};
}

// ---------------------------------------------------------------- the start

int KafkaSource::timeout_ms() const { return static_cast<int>(shared_->settings.start_timeout_ns / kNsPerMs); }

Result<void> KafkaSource::start(SourceContext& context) {
  const std::vector<Partition> partitions = TRY(find_partitions(context));
  if (context.stopping()) return {};
  if (char* id = rd_kafka_clusterid(consumer_->client().raw(), timeout_ms()); id != nullptr) {
    cluster_ = id;
    rd_kafka_mem_free(consumer_->client().raw(), id);
  }
  const bool resumes = !context.resume_position().empty();
  const Offsets next = resumes ? TRY(resume(partitions, context)) : TRY(first_offsets(partitions));
  for (const auto& [partition, offset] : next) add_partition(partition, offset);
  if (is_static()) TRY(find_ends());
  looked_ns_ = committed_ns_ = context.env().clock->monotonic_ns();
  return assign_all();
}

Result<std::vector<Partition>> KafkaSource::find_partitions(SourceContext& context) {
  const std::int64_t deadline = context.env().clock->monotonic_ns() + shared_->settings.start_timeout_ns;
  std::vector<Partition> out;
  for (const std::string& topic : shared_->settings.topics) {
    while (!context.stopping()) {
      const std::int64_t left_ms = (deadline - context.env().clock->monotonic_ns()) / kNsPerMs;
      constexpr std::int64_t kSliceMs = 2000;  // so that a stop is seen
      auto ids =
          consumer_->client().partitions(topic, static_cast<int>(std::clamp<std::int64_t>(left_ms, 1, kSliceMs)));
      if (ids) {
        for (const std::int32_t id : *ids) out.push_back({topic, id});
        break;
      }
      const Code code = ids.error().code;
      const bool may_come = code == Code::kUnavailable || code == Code::kNotFound;
      if (!may_come || context.env().clock->monotonic_ns() + kRetryNs > deadline) return fail(std::move(ids).error());
      context.warn(ids.error().message);
      context.idle();
      context.wait(kRetryNs);
    }
  }
  return out;
}

Result<Offsets> KafkaSource::first_offsets(const std::vector<Partition>& partitions) {
  const ReadSettings& settings = shared_->settings;
  for (const auto& [partition, offset] : settings.start_offsets)
    if (std::ranges::find(partitions, partition) == partitions.end())
      return fail(Code::kNotFound,
                  fmt::format("`start_offsets`: topic `{}` has no partition {}", partition.topic, partition.id));
  Offsets given = settings.start_offsets;
  if (settings.start == Start::kTimestamp)
    given.merge(TRY(consumer_->offsets_at(partitions, settings.start_ms, timeout_ms())));
  if (settings.start == Start::kCommitted) given.merge(TRY(consumer_->committed(partitions, timeout_ms())));
  for (const Partition& partition : partitions) {
    if (const auto found = given.find(partition); found != given.end()) {
      TRY(check_range(partition, found->second));
      continue;
    }
    // The numbers, not "the beginning": what was read is then known from the first position on.
    const Watermarks marks = TRY(consumer_->watermarks(partition, timeout_ms()));
    given[partition] = settings.start == Start::kLatest ? marks.high : marks.low;
  }
  return given;
}

Result<Offsets> KafkaSource::resume(const std::vector<Partition>& partitions, SourceContext& context) {
  const Position position = TRY(Position::from_text(context.resume_position()));
  if (!position.cluster.empty() && !cluster_.empty() && position.cluster != cluster_)
    return fail(Code::kBadData,
                fmt::format("the positions kept are of the Kafka cluster {}, and this is {}: offsets of "
                            "one say nothing in the other",
                            position.cluster, cluster_));
  Offsets out;
  for (const Partition& partition : partitions) {
    const auto found = position.next.find(partition);
    if (found == position.next.end()) {  // it came while we were away
      out[partition] = TRY(consumer_->watermarks(partition, timeout_ms())).low;
      continue;
    }
    TRY(check_range(partition, found->second));
    out[partition] = found->second;
  }
  for (const auto& [partition, offset] : position.next)
    if (!out.contains(partition) &&
        std::ranges::find(shared_->settings.topics, partition.topic) != shared_->settings.topics.end())
      return fail(Code::kBadData,
                  fmt::format("topic `{}` had a partition {} when it was last read, and has none now: it was made anew",
                              partition.topic, partition.id));
  return out;
}

Error KafkaSource::out_of_range(const Partition& partition, std::int64_t next, const Watermarks& marks) const {
  const bool removed = next < marks.low;
  std::string what = fmt::format("{}/{}: the next message to read is {}, and ", partition.topic, partition.id, next);
  what += removed ? fmt::format("the topic begins at {}: {} messages were removed before they were read", marks.low,
                                marks.low - next)
                  : fmt::format("the topic ends at {}: it was made anew or cut back", marks.high);
  return Error{Code::kBadData, std::move(what), {}, {}}.with_note(
      "to go on with what is there, reset the state of the pipeline, or give `start_offsets`");
}

Result<void> KafkaSource::check_range(const Partition& partition, std::int64_t next) {
  const Watermarks marks = TRY(consumer_->watermarks(partition, timeout_ms()));
  if (next < marks.low || next > marks.high) return fail(out_of_range(partition, next, marks));
  return {};
}

void KafkaSource::add_partition(const Partition& partition, std::int64_t next) {
  auto reading = std::make_unique<Reading>();
  reading->partition = partition;
  reading->topic = std::make_shared<const std::string>(partition.topic);
  reading->next = next;
  readings_.push_back(std::move(reading));
}

Result<void> KafkaSource::find_ends() {
  for (const auto& reading : readings_) {
    reading->end = TRY(consumer_->watermarks(reading->partition, timeout_ms())).high;
    reading->done = reading->next >= reading->end;
  }
  return {};
}

Result<void> KafkaSource::assign_all() {
  Offsets next = next_of(readings_);
  std::erase_if(next, [&](const auto& entry) {
    return std::ranges::any_of(readings_, [&](const auto& r) { return r->partition == entry.first && r->done; });
  });
  return consumer_->assign(next);
}

bool KafkaSource::all_done() const {
  return is_static() && std::ranges::all_of(readings_, [](const auto& reading) { return reading->done; });
}

void KafkaSource::on_durable(const std::string& position) {
  const std::lock_guard lock(mutex_);
  durable_ = position;
}

// What others may read of it: where reading is, and where the partitions end as far as fetches have told.
void KafkaSource::note_lag(SourceContext& context) {
  constexpr std::int64_t kEveryNs = 200 * kNsPerMs;
  const std::int64_t now = context.env().clock->monotonic_ns();
  if (noted_ns_ != 0 && now - noted_ns_ < kEveryNs) return;
  noted_ns_ = now;
  std::vector<PartitionLag> lag;
  lag.reserve(readings_.size());
  for (const auto& reading : readings_)
    lag.push_back({.partition = fmt::format("{}/{}", reading->partition.topic, reading->partition.id),
                   .next = reading->next,
                   .end = std::max(consumer_->seen_watermarks(reading->partition).high, reading->next)});
  const std::lock_guard lock(mutex_);
  lag_ = std::move(lag);
}

std::vector<PartitionLag> KafkaSource::lag() const {
  const std::lock_guard lock(mutex_);
  return lag_;
}

void KafkaSource::inform_group(SourceContext& context) {
  if (!context.keeps_positions()) return consumer_->commit_for_information(next_of(readings_));
  const std::lock_guard lock(mutex_);
  if (durable_.empty()) return;
  if (const auto durable = Position::from_text(durable_)) consumer_->commit_for_information(durable->next);
}

Position KafkaSource::position() const { return {cluster_, next_of(readings_)}; }

// ---------------------------------------------------------------- reading

KafkaSource::Reading* KafkaSource::reading_of(const rd_kafka_message_t& message) {
  const std::pair<const rd_kafka_topic_t*, std::int32_t> handle{message.rkt, message.partition};
  for (auto& entry : by_handle_) {
    if (entry.first != handle) continue;
    if (&entry != &by_handle_.front()) std::swap(entry, by_handle_.front());
    return by_handle_.front().second;
  }
  const Partition partition{rd_kafka_topic_name(message.rkt), message.partition};
  for (const auto& reading : readings_)
    if (reading->partition == partition) {
      by_handle_.emplace_back(handle, reading.get());
      return reading.get();
    }
  return nullptr;
}

Result<void> KafkaSource::take(std::span<rd_kafka_message_t*> messages, SourceContext& context) {
  const Owned owned(messages);
  std::vector<Reading*> touched;
  for (rd_kafka_message_t* message : messages) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      TRY(take_event(*message, context));
      continue;
    }
    Reading* reading = reading_of(*message);
    // After partitions were added, what had been fetched before comes once more.
    if (reading == nullptr || reading->done || message->offset < reading->next) continue;
    if (reading->end < 0 || message->offset < reading->end) {
      if (reading->got.empty()) touched.push_back(reading);
      reading->got.push_back(message);
      reading->got_bytes += MessageBlock::payload_bytes_of(*message);
    }
    reading->next = message->offset + 1;
    if (reading->end >= 0 && reading->next >= reading->end) reading->done = true;
  }
  if (shared_->avro)
    for (const Reading* reading : touched) TRY(fetch_schemas(*reading, context));
  for (Reading* reading : touched)
    if (!deliver(*reading, context)) {
      torn_ = true;
      return {};
    }
  if (touched.empty()) return {};
  moved_ = open_ = true;
  open_records_ += messages.size();
  return {};
}

void KafkaSource::commit_if_due(SourceContext& context) {
  const std::int64_t now = context.env().clock->monotonic_ns();
  const std::size_t records_max = shared_->settings.records_max;
  const bool is_full = records_max > 0 && open_records_ >= records_max;
  if (is_static() || !open_ || (!is_full && now - last_commit_ns_ < shared_->settings.commit_interval_ns)) return;
  context.commit(position().to_text());
  open_ = false;
  open_records_ = 0;
  last_commit_ns_ = now;
}

// Until the transaction at work is due, else until it is time to see whether the run stops.
int KafkaSource::poll_ms(SourceContext& context) const {
  if (!open_ || is_static()) return kPollMs;
  const std::int64_t now = context.env().clock->monotonic_ns();
  const std::int64_t left = last_commit_ns_ + shared_->settings.commit_interval_ns - now;
  return static_cast<int>(std::clamp<std::int64_t>((left + kNsPerMs - 1) / kNsPerMs, 0, kPollMs));
}

// The registry is asked here, so that no worker waits for it.
Result<void> KafkaSource::fetch_schemas(const Reading& reading, SourceContext& context) {
  const std::int64_t deadline = context.env().clock->monotonic_ns() + shared_->settings.start_timeout_ns;
  for (const rd_kafka_message_t* message : reading.got) {
    const auto id = framed_schema({static_cast<const char*>(message->payload), message->len});
    while (id) {
      auto fetched = shared_->avro->fetch(*id);
      if (fetched) break;
      if (context.env().clock->monotonic_ns() > deadline) return fetched;
      context.warn(fetched.error().message);
      if (!context.wait(kRetryNs)) return {};
    }
  }
  return {};
}

bool KafkaSource::deliver(Reading& reading, SourceContext& context) {
  const std::vector<rd_kafka_message_t*> got = std::exchange(reading.got, {});
  std::size_t left_bytes = std::exchange(reading.got_bytes, 0);
  for (std::size_t begin = 0; begin < got.size();) {
    auto block = std::make_unique<MessageBlock>(shared_, reading.topic, reading.partition.id);
    std::size_t end = begin;
    std::size_t bytes = 0;
    if (left_bytes <= kPieceBytesMax) {
      end = got.size();
      bytes = left_bytes;
    }
    for (; end < got.size(); ++end) {
      const std::size_t more = MessageBlock::payload_bytes_of(*got[end]);
      if (end > begin && bytes + more > kPieceBytesMax) break;
      bytes += more;
    }
    block->reserve(bytes, end - begin);
    for (; begin < end; ++begin) block->add(*got[begin]);
    block->seal();
    left_bytes -= bytes;
    if (!context.deliver(std::make_unique<MessagePiece>(shared_, std::move(block)))) return false;
  }
  return true;
}

Result<void> KafkaSource::take_event(const rd_kafka_message_t& event, SourceContext& context) {
  switch (event.err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      if (Reading* reading = reading_of(event); reading != nullptr && is_static()) {
        reading->next = std::max(reading->next, event.offset);
        reading->done = true;
      }
      return {};
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: {
      const Reading* reading = event.rkt != nullptr ? reading_of(event) : nullptr;
      if (reading == nullptr) return fail(Code::kBadData, "Kafka has lost the place to read at: " + text_of(event.err));
      const Watermarks marks = TRY(consumer_->watermarks(reading->partition, timeout_ms()));
      return fail(out_of_range(reading->partition, reading->next, marks));
    }
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__FATAL: {
      const std::string topic = event.rkt != nullptr ? rd_kafka_topic_name(event.rkt) : "?";
      return fail(Code::kBadData,
                  fmt::format("Kafka topic `{}` can no longer be read: {}", topic, rd_kafka_message_errstr(&event)));
    }
    default:
      context.warn(fmt::format("Kafka: {}", rd_kafka_message_errstr(&event)));  // the library tries again by itself
      return {};
  }
}

// What is done now and then: problems, new partitions, information for the group.
Result<void> KafkaSource::look_around(SourceContext& context) {
  if (std::string problem = consumer_->client().take_problem(); !problem.empty())
    context.warn("Kafka: " + std::move(problem));
  const std::int64_t now = context.env().clock->monotonic_ns();
  if (moved_ && shared_->settings.commits_group_offsets && now - committed_ns_ >= kInformationNs) {
    inform_group(context);
    committed_ns_ = now;
    moved_ = false;
  }
  if (is_static() || now - looked_ns_ < shared_->settings.partition_check_ns) return {};
  looked_ns_ = now;
  std::size_t before = readings_.size();
  for (const std::string& topic : shared_->settings.topics) {
    constexpr int kLookMs = 1000;
    const auto ids = consumer_->client().partitions(topic, kLookMs);
    if (!ids) continue;  // later
    for (const std::int32_t id : *ids) {
      const Partition partition{topic, id};
      if (std::ranges::none_of(readings_, [&](const auto& reading) { return reading->partition == partition; }))
        add_partition(partition, 0);
    }
  }
  if (readings_.size() == before) return {};
  context.warn(fmt::format("Kafka: {} new partitions, read from their beginning", readings_.size() - before));
  return assign_all();
}

}  // namespace thalweg::kafka
