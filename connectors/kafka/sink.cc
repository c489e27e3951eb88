#include "connectors/kafka/sink.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "connectors/formats/csv.h"

namespace thalweg::kafka {

namespace {

struct ErrorDeleter {
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
};
using ErrorPtr = std::unique_ptr<rd_kafka_error_t, ErrorDeleter>;

// Columns of a schema, for the key.
Schema columns_of(const Schema& schema, const std::vector<std::uint32_t>& columns) {
  Schema out;
  for (const std::uint32_t column : columns) out.columns.push_back(schema.columns[column]);
  return out;
}

void drop_line_end(std::string& text) {
  if (text.ends_with('\n')) text.pop_back();
}

// The text of a cell as key, header or raw value; false: None.
bool append_cell(const Type& type, const Column& column, std::size_t row, std::string& out) {
  if (!column.is_value(row)) return false;
  if (type.phys() == Phys::kView && (type.is(Kind::kStr) || type.is(Kind::kBytes) || type.is(Kind::kJson))) {
    out += column.views()[row].view();
    return true;
  }
  out += column.value(type, row).to_text();
  return true;
}

// Runs a step of a transaction until it works, is hopeless, or the time is over.
template <class Step>
Result<void> transact(const char* what, const Client& client, std::int64_t timeout_ns, Step step) {
  const std::int64_t deadline = now_ms() + timeout_ns / kNsPerMs;
  while (true) {
    const std::int64_t left = std::max<std::int64_t>(deadline - now_ms(), 1);
    const ErrorPtr error(step(static_cast<int>(left)));
    if (!error) return {};
    if (rd_kafka_error_is_retriable(error.get()) != 0 && now_ms() < deadline) continue;
    std::string message = fmt::format("Kafka: {}: {}", what, rd_kafka_error_string(error.get()));
    if (rd_kafka_error_txn_requires_abort(error.get()) != 0) {
      const ErrorPtr ignored(rd_kafka_abort_transaction(client.raw(), static_cast<int>(timeout_ns / kNsPerMs)));
      message += "; nothing of the commit is visible";
    }
    return fail(Code::kUnavailable, std::move(message));
  }
}

}  // namespace

KafkaSink::KafkaSink(WriteSettings settings, Schema schema)
    : settings_(std::move(settings)),
      schema_(std::move(schema)),
      json_(schema_),
      csv_(schema_, settings_.delimiter, CsvQuoting::kMinimal) {
  if (settings_.format == WriteFormat::kAvro)
    avro_ = std::make_unique<AvroWriter>(schema_, settings_.subject, !settings_.snapshot);
  if (settings_.key_columns.empty()) return;
  key_schema_ = columns_of(schema_, settings_.key_columns);
  key_json_ = std::make_unique<JsonEncoder>(key_schema_);
}

KafkaSink::~KafkaSink() {
  for (const auto& [name, handle] : topics_) rd_kafka_topic_destroy(handle);
}

void KafkaSink::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  auto& sink = *static_cast<KafkaSink*>(self);
  const std::lock_guard lock(sink.mutex_);
  if (sink.failure_.empty())
    sink.failure_ = fmt::format("Kafka does not take a message for topic `{}`: {}", rd_kafka_topic_name(message->rkt),
                                text_of(message->err));
}

Result<void> KafkaSink::open(const SinkContext& context) {
  reject_ = context.reject;
  keep_rejected_ = context.keep_rejected;
  if (!settings_.dead_letter.empty()) TRY(BadRowPolicy::check_dead_letters(*context.env, settings_.dead_letter));
  Settings client = settings_.client;
  client.emplace_back("delivery.report.only.error", "true");
  const int timeout_ms = static_cast<int>(settings_.timeout_ns / kNsPerMs);
  if (settings_.exactly_once.value_or(context.exactly_once || !context.state_path.empty())) {
    const std::string own =
        context.pipeline.empty() ? "thalweg." + context.name : "thalweg." + context.pipeline + "." + context.name;
    const std::string name = settings_.transactional_id.empty() ? own : settings_.transactional_id;
    client.emplace_back("transactional.id", name);
    client.emplace_back("transaction.timeout.ms", std::to_string(timeout_ms));
    progress_ = std::make_unique<Progress>(settings_.progress_topic, name);
  }
  TRY(make_client(std::move(client)));
  if (!settings_.topic.empty()) {
    // A topic that brokers make on demand may be missing now; brokers that are missing are an error.
    auto there = client_->partitions(settings_.topic, timeout_ms);
    if (!there && there.error().code != Code::kNotFound) return fail(std::move(there).error());
  }
  if (settings_.registry) TRY(register_schema());
  if (!progress_) return {};
  TRY(progress_->make_topic(*client_, timeout_ms));
  TRY(transact("the transactions of an earlier run cannot be settled", *client_, settings_.timeout_ns,
               [&](int left_ms) { return rd_kafka_init_transactions(client_->raw(), left_ms); }));
  // What an earlier life of the pipeline wrote, of which no state is left, says nothing of the commits to come.
  const bool starts_anew = !context.state_path.empty() && context.resume_from == 0;
  if (!starts_anew) last_commit_ = TRY(progress_->read(*client_, settings_.client, timeout_ms));
  return {};
}

// A topic may take less than the library would send: no message and no batch of messages may be longer.
Result<void> KafkaSink::make_client(Settings client) {
  constexpr int kAskMs = 5000;
  constexpr std::size_t kFraming = 128;  // of a batch and its record, at most
  constexpr std::size_t kLeast = 1000;   // the library's own bound
  client_ = TRY(Client::make(Role::kProducer, client, on_delivery, this));
  bytes_max_ = settings_.message_bytes_max;
  if (settings_.topic.empty()) return {};
  const auto taken = client_->message_bytes_max(
      settings_.topic, static_cast<int>(std::min<std::int64_t>(settings_.timeout_ns / kNsPerMs, kAskMs)));
  if (!taken || *taken >= bytes_max_ + kFraming) return {};
  bytes_max_ = *taken > kFraming ? *taken - kFraming : 0;
  limit_ = "`max.message.bytes` of the topic";
  client.emplace_back("batch.size", std::to_string(std::max(*taken, kLeast)));
  client_ = TRY(Client::make(Role::kProducer, client, on_delivery, this));
  return {};
}

Result<void> KafkaSink::register_schema() {
  SchemaRegistry registry(*settings_.registry);
  SchemaRegistry::Schema schema{"JSON", ""};
  if (avro_)
    schema = {"AVRO", avro_->schema_json()};
  else
    schema.text = json_schema_of(schema_, settings_.subject, !settings_.snapshot);
  append_frame(TRY(registry.add(settings_.subject, schema)), frame_);
  return {};
}

rd_kafka_topic_t* KafkaSink::handle_of(const std::string& topic) {
  const auto found = topics_.find(topic);
  if (found != topics_.end()) return found->second;
  rd_kafka_topic_t* handle = rd_kafka_topic_new(client_->raw(), topic.c_str(), nullptr);
  if (handle != nullptr) topics_.emplace(topic, handle);
  return handle;
}

Result<void> KafkaSink::delivery_error() {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return fail(Code::kUnavailable, failure_);
  return {};
}

Result<void> KafkaSink::produce(const std::string& topic, std::string_view key, const std::string* value,
                                rd_kafka_headers_t* headers) {
  rd_kafka_topic_t* const handle = handle_of(topic);
  if (handle == nullptr) {
    if (headers != nullptr) rd_kafka_headers_destroy(headers);
    return fail(Code::kBadData, fmt::format("`{}` cannot be the name of a Kafka topic", topic));
  }
  const std::int64_t deadline = now_ms() + settings_.timeout_ns / kNsPerMs;
  while (true) {
    // A null pointer is a message without content, an empty text one with none.
    void* const content = value == nullptr ? nullptr : const_cast<char*>(value->data());
    const std::size_t size = value == nullptr ? 0 : value->size();
    const rd_kafka_resp_err_t error =
        rd_kafka_producev(client_->raw(), RD_KAFKA_V_RKT(handle), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
                          RD_KAFKA_V_VALUE(content, size), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      count_bytes(key.size() + size);
      return {};
    }
    const bool full = error == RD_KAFKA_RESP_ERR__QUEUE_FULL;
    if (full) rd_kafka_poll(client_->raw(), 100);
    auto delivered = delivery_error();
    if (full && delivered && now_ms() < deadline) continue;
    if (headers != nullptr) rd_kafka_headers_destroy(headers);
    if (!delivered) return delivered;
    std::string message = fmt::format("Kafka does not take a message for topic `{}`: {}", topic, text_of(error));
    if (const std::string problem = client_->last_problem(); !problem.empty()) message += " (" + problem + ")";
    return fail(Code::kUnavailable, std::move(message));
  }
}

void KafkaSink::encode_value(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const {
  out = frame_;
  if (avro_) return avro_->row(batch, row, time == nullptr ? 0 : *time, out);
  if (settings_.format == WriteFormat::kJson) json_.row(batch, row, time, out);
  if (settings_.format == WriteFormat::kDsv) csv_.row(batch, row, time, out);
  if (settings_.format != WriteFormat::kRaw) return drop_line_end(out);
  const std::uint32_t column = settings_.value_column;
  append_cell(schema_.columns[column].type, batch.columns[column], row, out);
}

void KafkaSink::encode_key(const Batch& batch, std::size_t row, std::string& out) const {
  out.clear();
  if (settings_.key_column) {
    append_cell(schema_.columns[*settings_.key_column].type, batch.columns[*settings_.key_column], row, out);
    return;
  }
  if (!settings_.key_columns.empty()) {
    Batch key;
    key.num_rows = batch.num_rows;
    for (const std::uint32_t column : settings_.key_columns) key.columns.push_back(batch.columns[column]);
    key_json_->row(key, row, nullptr, out);
    return drop_line_end(out);
  }
  const Key& key = batch.keys[row];
  out.resize(sizeof key);
  std::memcpy(out.data(), &key.lo, sizeof key.lo);
  std::memcpy(out.data() + sizeof key.lo, &key.hi, sizeof key.hi);
}

std::string KafkaSink::topic_of(const Batch& batch, std::size_t row) const {
  if (!settings_.topic_column) return settings_.topic;
  std::string out;
  append_cell(schema_.columns[*settings_.topic_column].type, batch.columns[*settings_.topic_column], row, out);
  return out;
}

rd_kafka_headers_t* KafkaSink::headers_of(const Batch& batch, std::size_t row, std::uint64_t commit,
                                          std::size_t& bytes) const {
  constexpr std::size_t kFraming = 20;  // two lengths
  if (!settings_.change_headers && settings_.header_columns.empty()) return nullptr;
  rd_kafka_headers_t* out = rd_kafka_headers_new(settings_.header_columns.size() + 2);
  std::string text;
  const auto add = [&](const char* name, const std::string* value) {
    bytes += std::strlen(name) + (value == nullptr ? 0 : value->size()) + kFraming;
    rd_kafka_header_add(out, name, -1, value == nullptr ? nullptr : value->data(),
                        value == nullptr ? 0 : static_cast<ssize_t>(value->size()));
  };
  for (const std::uint32_t column : settings_.header_columns) {
    text.clear();
    const bool some = append_cell(schema_.columns[column].type, batch.columns[column], row, text);
    add(schema_.columns[column].name.c_str(), some ? &text : nullptr);
  }
  if (!settings_.change_headers) return out;
  add("pathway_time", &(text = std::to_string(commit)));
  add("pathway_diff", &(text = std::to_string(batch.diff(row))));
  return out;
}

Result<bool> KafkaSink::acceptable(std::uint64_t commit, const Batch& batch, std::size_t row,
                                   std::size_t header_bytes) {
  const std::size_t bytes = key_.size() + value_.size() + header_bytes;
  if (bytes <= bytes_max_) return true;
  std::string why = fmt::format("the message would have {} bytes, and Kafka takes {} ({})", bytes, bytes_max_, limit_);
  if (settings_.bad_rows == BadRowPolicy::Action::kFail) return fail(Code::kBadData, std::move(why));
  if (reject_)
    reject_(batch, row,
            {.reason = std::move(why),
             .position = fmt::format("{}@{}", settings_.topic, commit),
             .payload = row_text(schema_, batch, row).substr(0, BadRecord::kRawBytesMax)});
  return false;
}

Result<void> KafkaSink::write_row(std::uint64_t commit, const Batch& batch, std::size_t row) {
  encode_key(batch, row, key_);
  if (settings_.snapshot) {
    auto place = std::make_pair(topic_of(batch, row), key_);
    if (batch.diff(row) < 0) {
      deleted_[std::move(place)] = true;
      return {};
    }
    deleted_.erase(place);
  }
  encode_value(batch, row, settings_.snapshot ? nullptr : &commit, value_);
  std::size_t header_bytes = 0;
  rd_kafka_headers_t* headers = headers_of(batch, row, commit, header_bytes);
  auto accepted = acceptable(commit, batch, row, header_bytes);
  if (accepted && *accepted)
    return produce(settings_.topic_column ? topic_of(batch, row) : settings_.topic, key_, &value_, headers);
  if (headers != nullptr) rd_kafka_headers_destroy(headers);
  return accepted ? Result<void>() : Result<void>(fail(std::move(accepted).error()));
}

Result<void> KafkaSink::write(std::uint64_t commit, const Batch& batch) {
  if (progress_ && commit <= last_commit_) return {};
  if (progress_ && !in_transaction_) {
    TRY(transact("a transaction cannot begin", *client_, settings_.timeout_ns,
                 [&](int) { return rd_kafka_begin_transaction(client_->raw()); }));
    in_transaction_ = true;
  }
  if (settings_.sort_by.empty()) return write_rows(commit, batch);
  commit_batches_.push_back(batch);
  return {};
}

Result<void> KafkaSink::write_rows(std::uint64_t commit, Batch batch) {
  const bool by_row_key = !settings_.key_column && settings_.key_columns.empty();
  if (by_row_key) batch.materialise_keys();
  const bool plain =
      !settings_.snapshot && !settings_.topic_column && !settings_.change_headers && settings_.header_columns.empty();
  if (plain) TRY(write_plain(commit, batch));
  for (std::size_t row = 0; row < batch.num_rows && !plain; ++row) TRY(write_row(commit, batch, row));
  rd_kafka_poll(client_->raw(), 0);
  return delivery_error();
}

Result<void> KafkaSink::write_plain(std::uint64_t commit, const Batch& batch) {
  constexpr std::size_t kMessagesMax = 1024;
  constexpr std::size_t kBytesMax = 1U << 20;
  for (std::size_t row = 0; row < batch.num_rows;) {
    messages_.clear();
    bytes_.clear();
    for (; row < batch.num_rows && messages_.size() < kMessagesMax && bytes_.size() < kBytesMax; ++row) {
      encode_key(batch, row, key_);
      encode_value(batch, row, &commit, value_);
      if (!TRY(acceptable(commit, batch, row, 0))) continue;
      bytes_ += key_;
      bytes_ += value_;
      messages_.push_back({.len = value_.size(), .key_len = key_.size()});
    }
    if (messages_.empty()) continue;
    // The bytes have their place only now.
    char* at = bytes_.data();
    for (rd_kafka_message_t& message : messages_) {
      message.key = at;
      message.payload = at + message.key_len;
      at += message.key_len + message.len;
    }
    TRY(make_room(messages_.size(), bytes_.size()));
    TRY(produce_all(messages_));
  }
  return {};
}

Result<void> KafkaSink::make_room(std::size_t messages, std::size_t bytes) {
  constexpr std::size_t kQueuedMessagesMax = 200'000;
  constexpr std::size_t kQueuedBytesMax = 32U << 20;
  const std::int64_t deadline = now_ms() + settings_.timeout_ns / kNsPerMs;
  const bool full = queued_messages_ + messages > kQueuedMessagesMax || queued_bytes_ + bytes > kQueuedBytesMax;
  while (full && rd_kafka_outq_len(client_->raw()) > 0) {
    rd_kafka_poll(client_->raw(), 10);
    TRY(delivery_error());
    if (now_ms() >= deadline) return flush();
  }
  if (full) queued_messages_ = queued_bytes_ = 0;
  queued_messages_ += messages;
  queued_bytes_ += bytes;
  return {};
}

Result<void> KafkaSink::produce_all(std::span<rd_kafka_message_t> messages) {
  rd_kafka_topic_t* const handle = handle_of(settings_.topic);
  if (handle == nullptr)
    return fail(Code::kBadData, fmt::format("`{}` cannot be the name of a Kafka topic", settings_.topic));
  const std::int64_t deadline = now_ms() + settings_.timeout_ns / kNsPerMs;
  for (const rd_kafka_message_t& message : messages) count_bytes(message.key_len + message.len);
  while (true) {
    const int taken = rd_kafka_produce_batch(handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, messages.data(),
                                             static_cast<int>(messages.size()));
    if (taken == static_cast<int>(messages.size())) return {};
    // Those that were not taken come again, in their order.
    const auto left = std::ranges::remove(messages, RD_KAFKA_RESP_ERR_NO_ERROR, &rd_kafka_message_t::err);
    messages = messages.first(messages.size() - left.size());
    const rd_kafka_resp_err_t error = messages.front().err;
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) rd_kafka_poll(client_->raw(), 100);
    TRY(delivery_error());
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || now_ms() >= deadline)
      return fail(Code::kUnavailable,
                  fmt::format("Kafka does not take messages for topic `{}`: {}", settings_.topic, text_of(error)));
  }
}

Result<void> KafkaSink::write_sorted(std::uint64_t commit) {
  if (commit_batches_.empty()) return {};
  const Batch all = Batch::concat(std::exchange(commit_batches_, {}));
  std::vector<std::uint32_t> order(all.num_rows);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    for (const std::uint32_t column : settings_.sort_by) {
      const Column& cells = all.columns[column];
      if (const int c = Column::compare_cells(schema_.columns[column].type, cells, a, cells, b); c != 0) return c < 0;
    }
    return all.diff(a) < all.diff(b);
  });
  return write_rows(commit, all.gather(order));
}

Result<void> KafkaSink::flush() {
  const rd_kafka_resp_err_t error = rd_kafka_flush(client_->raw(), static_cast<int>(settings_.timeout_ns / kNsPerMs));
  TRY(delivery_error());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  std::string message = "Kafka does not acknowledge what was written: " + text_of(error);
  if (const std::string problem = client_->last_problem(); !problem.empty()) message += " (" + problem + ")";
  return fail(Code::kUnavailable, std::move(message));
}

Result<void> KafkaSink::end(std::uint64_t commit) {
  if (progress_ && commit <= last_commit_) return {};
  TRY(write_sorted(commit));
  for (const auto& [place, deleted] : std::exchange(deleted_, {}))
    TRY(produce(place.first, place.second, nullptr, nullptr));
  if (!progress_) return flush();
  if (!in_transaction_) return {};
  if (keep_rejected_) TRY(keep_rejected_());
  const std::string record = Progress::record(commit);
  TRY(produce(progress_->topic(), progress_->name(), &record, nullptr));
  TRY(transact("a commit cannot be written", *client_, settings_.timeout_ns,
               [&](int left_ms) { return rd_kafka_commit_transaction(client_->raw(), left_ms); }));
  in_transaction_ = false;
  last_commit_ = commit;
  return delivery_error();
}

Result<void> KafkaSink::close(bool complete) {
  if (!client_) return {};
  if (in_transaction_) {
    const ErrorPtr ignored(
        rd_kafka_abort_transaction(client_->raw(), static_cast<int>(settings_.timeout_ns / kNsPerMs)));
    in_transaction_ = false;
    return {};
  }
  if (complete) return flush();
  rd_kafka_purge(client_->raw(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  return {};
}

}  // namespace thalweg::kafka
