// connectors/kafka/messages.h
//
// Messages of one partition as a piece of input: payloads one after another in a block, a line each, and beside it what
// else the messages hold, as far as the pipeline asks for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connectors/formats/format.h"
#include "connectors/kafka/settings.h"
#include "engine/io/counted_piece.h"

namespace thalweg::kafka {

class MessageDecoder;

// What the pieces of a source share; read-only but for the policy.
struct SourceShared {
  ReadSettings settings;
  std::string name;
  RecordLayout layout;
  bool upsert = false;
  bool wants_keys = false;  // the bytes of keys: a column or the row's key needs them
  bool wants_times = false;
  bool wants_metadata = false;  // and so headers
  std::unique_ptr<MessageDecoder> decoder;
  std::unique_ptr<AvroSchemas> avro;  // of the format avro
  std::unique_ptr<BadRowPolicy> policy;
  std::shared_ptr<BlockPool> pool;

  // A piece of one message that stands by itself; `position` is `topic/0@42`.
  static Result<std::unique_ptr<Piece>> reread(const std::shared_ptr<const SourceShared>& shared,
                                               const std::string& payload, const std::string& position);
  static Result<std::shared_ptr<SourceShared>> of(const plan::Source& source, ReadSettings settings);
};

// A text of several, or none: keys that may be null.
class Texts {
 public:
  void push(const void* data, std::size_t size);
  [[nodiscard]] bool has(std::size_t index) const { return spans_[index].second != kNone; }
  [[nodiscard]] std::string_view operator[](std::size_t index) const {
    const auto [begin, size] = spans_[index];
    return size == kNone ? std::string_view{} : std::string_view(bytes_).substr(begin, size);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_.size() + spans_.size() * sizeof spans_[0]; }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::string bytes_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> spans_;
};

// Messages of one partition, offsets rising.
class MessageBlock final : public Envelope {
 public:
  MessageBlock(std::shared_ptr<const SourceShared> shared, std::shared_ptr<const std::string> topic,
               std::int32_t partition);
  // Requires: room of payload_bytes_of(message) for each message in what was reserved.
  void reserve(std::size_t payload_bytes, std::size_t messages);
  void add(const rd_kafka_message_t& message);
  void seal();
  [[nodiscard]] static std::size_t payload_bytes_of(const rd_kafka_message_t& message) { return message.len + 1; }

  void fill(RowWriter& rows, std::size_t index) const override;
  void empty(RowWriter& rows, const char* record, std::size_t index) const override;
  [[nodiscard]] Key key(std::size_t index) const override;
  [[nodiscard]] std::string position(std::size_t index) const override;

  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] const BlockRef& block() const { return sealed_; }
  // The bytes of a payload, as they came (but for line ends where the format is JSON).
  [[nodiscard]] std::string_view payload(std::size_t index) const;
  [[nodiscard]] bool is_tombstone(std::size_t index) const { return !tombstones_.empty() && tombstones_[index]; }
  [[nodiscard]] const Texts& keys() const { return keys_; }
  [[nodiscard]] BlockInfo info() const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  void fill_from_key(RowWriter& rows, std::size_t index, std::size_t begin, std::size_t end) const;
  [[nodiscard]] std::string metadata(std::size_t index) const;
  [[nodiscard]] std::int64_t offset(std::size_t index) const;

  const std::shared_ptr<const SourceShared> shared_;
  const std::shared_ptr<const std::string> topic_;
  const std::int32_t partition_;
  const bool keeps_line_ends_;
  const bool drops_frames_;
  std::shared_ptr<Block> block_;
  BlockRef sealed_;
  std::size_t filled_ = 0;
  std::vector<std::uint32_t> ends_;  // of the payloads in the block, line ends left out
  std::vector<bool> tombstones_;     // empty while there are none
  std::int64_t first_offset_ = 0;
  std::vector<std::int64_t> offsets_;  // empty while they follow one another
  std::vector<std::int64_t> times_ms_;
  Texts keys_;
  std::vector<std::string> headers_;  // JSON
};

class MessagePiece final : public CountedPiece {
 public:
  explicit MessagePiece(std::shared_ptr<const SourceShared> shared, std::unique_ptr<MessageBlock> messages)
      : shared_(std::move(shared)), messages_(std::move(messages)), bytes_(messages_->bytes()) {}
  [[nodiscard]] std::size_t bytes() const override { return bytes_; }
  [[nodiscard]] std::size_t num_records() const override { return messages_->size(); }
  void decode(RowSink& out) override;

 private:
  const std::shared_ptr<const SourceShared> shared_;
  std::unique_ptr<MessageBlock> messages_;  // given up after decoding
  const std::size_t bytes_;
};

// Payloads → cells. Stateless: any number of workers use one.
class MessageDecoder {
 public:
  virtual ~MessageDecoder() = default;
  virtual void decode(const MessageBlock& messages, Reporter& report) const = 0;
};

}  // namespace thalweg::kafka
