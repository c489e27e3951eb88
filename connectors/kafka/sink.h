// connectors/kafka/sink.h
//
// `io.kafka.write`: a message per change, or per row of a snapshot.
//
// S1  `end` returns when the brokers have acknowledged every message of the commit; a message that they do not take
//     stops the outputs. Repeats inside of the library are recognised by the brokers (idempotent producer).
// S2  Exactly once: a commit is one Kafka transaction, which also holds a record of its number in the progress topic.
//     At the start the number is read back, and commits up to it are left out. A second writer of the same name ends
//     the first.
// S3  Snapshot: of the changes of a key in one commit the last row is written, or a tombstone if none is left.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "connectors/formats/encode.h"
#include "connectors/kafka/progress.h"
#include "connectors/kafka/settings.h"
#include "engine/io/sink.h"

namespace thalweg::kafka {

class KafkaSink final : public Sink {
 public:
  KafkaSink(WriteSettings settings, Schema schema);
  ~KafkaSink() override;
  Result<void> open(const SinkContext& context) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;
  // Exactly once: the last commit that is in Kafka, as read when the sink was opened and written since.
  [[nodiscard]] std::optional<std::uint64_t> last_commit() const override {
    return progress_ ? std::optional(last_commit_) : std::nullopt;
  }
  [[nodiscard]] Delivery delivery() const override {
    return progress_ ? Delivery::kExactlyOnce : Delivery::kAtLeastOnce;
  }

 private:
  static void on_delivery(rd_kafka_t* client, const rd_kafka_message_t* message, void* self);
  void encode_value(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const;
  void encode_key(const Batch& batch, std::size_t row, std::string& out) const;
  [[nodiscard]] std::string topic_of(const Batch& batch, std::size_t row) const;
  [[nodiscard]] rd_kafka_headers_t* headers_of(const Batch& batch, std::size_t row, std::uint64_t commit,
                                               std::size_t& bytes) const;
  [[nodiscard]] Result<void> write_rows(std::uint64_t commit, Batch batch);
  [[nodiscard]] Result<void> write_sorted(std::uint64_t commit);
  [[nodiscard]] Result<void> write_row(std::uint64_t commit, const Batch& batch, std::size_t row);
  // Messages to the one topic, without headers: many at a time cost a third less.
  [[nodiscard]] Result<void> write_plain(std::uint64_t commit, const Batch& batch);
  // Until the library has room for so much: a full queue in the middle of a call would change the order.
  [[nodiscard]] Result<void> make_room(std::size_t messages, std::size_t bytes);
  [[nodiscard]] Result<void> produce_all(std::span<rd_kafka_message_t> messages);
  // `headers` are taken over, whatever comes of it.
  [[nodiscard]] Result<void> produce(const std::string& topic, std::string_view key, const std::string* value,
                                     rd_kafka_headers_t* headers);
  [[nodiscard]] Result<void> register_schema();
  // The message of key_ and value_ is one that Kafka takes; else the row is rejected.
  [[nodiscard]] Result<bool> acceptable(std::uint64_t commit, const Batch& batch, std::size_t row,
                                        std::size_t header_bytes);
  [[nodiscard]] Result<void> make_client(Settings client);
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] Result<void> delivery_error();
  [[nodiscard]] rd_kafka_topic_t* handle_of(const std::string& topic);

  const WriteSettings settings_;
  const Schema schema_;
  const JsonEncoder json_;
  const CsvEncoder csv_;
  std::unique_ptr<AvroWriter> avro_;
  std::string frame_;  // of the schema registry; empty without one
  Schema key_schema_;
  std::unique_ptr<JsonEncoder> key_json_;
  std::unique_ptr<Client> client_;
  std::size_t bytes_max_ = 0;  // of a message
  std::string limit_ = "`message.max.bytes`";
  std::map<std::string, rd_kafka_topic_t*, std::less<>> topics_;
  std::unique_ptr<Progress> progress_;  // exactly once
  std::uint64_t last_commit_ = 0;
  std::function<void(const Batch&, std::size_t, Rejection)> reject_;
  std::function<Result<void>()> keep_rejected_;
  bool in_transaction_ = false;
  std::map<std::pair<std::string, std::string>, bool> deleted_;  // snapshot: topic and key, of the commit at work
  std::vector<Batch> commit_batches_;                            // with sort_by: of the commit at work
  std::vector<rd_kafka_message_t> messages_;                     // of write_plain
  std::string bytes_;
  std::size_t queued_messages_ = 0;  // by write_plain, since the library's queue was empty
  std::size_t queued_bytes_ = 0;
  std::string value_;
  std::string key_;
  std::mutex mutex_;
  std::string failure_;  // guarded by mutex_; the first message that was not taken
};

}  // namespace thalweg::kafka
