// connectors/kafka/source.h
//
// `io.kafka.read`, `io.debezium.read`: one thread reads all partitions of the topics, workers parse.
//
// K1  Positions are the pipeline's. A restart goes on at them; the consumer group's offsets are information for people,
//     committed now and then and read only if `offset: committed` says so.
// K2  A position that is not there any more, or not yet, is lost data and ends the source with an error. So does a
//     cluster that is not the one the positions are from.
// K3  While deliver() blocks, the library fetches until its queue (16 MiB) is full and then waits; connections live on,
//     as no group membership depends on us.
// K4  Partitions that appear are read from their beginning.
// K5  What comes within `commit_interval` is one transaction; what comes after a quiet time is not kept waiting.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connectors/kafka/messages.h"
#include "connectors/kafka/position.h"
#include "engine/io/lag.h"
#include "engine/io/reread.h"
#include "engine/io/source.h"

namespace thalweg::kafka {

class KafkaSource final : public Source, public RereadsRecords, public KnowsLag {
 public:
  Result<std::unique_ptr<Piece>> reread(const std::string& record, const std::string& position,
                                        std::uint64_t /*number*/) override {
    return SourceShared::reread(shared_, record, position);
  }
  explicit KafkaSource(std::shared_ptr<SourceShared> shared) : shared_(std::move(shared)) {}
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] bool is_static() const override { return shared_->settings.is_static; }
  void on_durable(const std::string& position) override;
  [[nodiscard]] std::vector<PartitionLag> lag() const override;

 private:
  struct Reading {
    Partition partition;
    std::shared_ptr<const std::string> topic;
    std::int64_t next = 0;                 // offset of the next message
    std::int64_t end = -1;                 // static: up to here
    bool done = false;                     // static
    std::vector<rd_kafka_message_t*> got;  // of the call at work
    std::size_t got_bytes = 0;
  };

  // ---- the start
  [[nodiscard]] Result<void> start(SourceContext& context);
  // Every partition of the topics; waits until brokers and topics are there.
  [[nodiscard]] Result<std::vector<Partition>> find_partitions(SourceContext& context);
  [[nodiscard]] Result<Offsets> first_offsets(const std::vector<Partition>& partitions);
  [[nodiscard]] Result<Offsets> resume(const std::vector<Partition>& partitions, SourceContext& context);
  [[nodiscard]] Result<void> check_range(const Partition& partition, std::int64_t next);
  void add_partition(const Partition& partition, std::int64_t next);
  [[nodiscard]] Result<void> find_ends();
  [[nodiscard]] Result<void> assign_all();

  // ---- reading
  [[nodiscard]] Result<void> take(std::span<rd_kafka_message_t*> messages, SourceContext& context);
  [[nodiscard]] Result<void> take_event(const rd_kafka_message_t& event, SourceContext& context);
  [[nodiscard]] Result<void> fetch_schemas(const Reading& reading, SourceContext& context);
  // False: the run is stopping.
  [[nodiscard]] bool deliver(Reading& reading, SourceContext& context);
  [[nodiscard]] Reading* reading_of(const rd_kafka_message_t& message);
  [[nodiscard]] Result<void> look_around(SourceContext& context);
  // Ends the transaction at work, if it is due.
  void commit_if_due(SourceContext& context);
  [[nodiscard]] int poll_ms(SourceContext& context) const;
  [[nodiscard]] bool all_done() const;
  [[nodiscard]] Position position() const;
  // What the consumer group is told: with persistence, what is durable.
  void inform_group(SourceContext& context);
  void note_lag(SourceContext& context);
  [[nodiscard]] Error out_of_range(const Partition& partition, std::int64_t next, const Watermarks& marks) const;
  [[nodiscard]] int timeout_ms() const;

  const std::shared_ptr<SourceShared> shared_;
  std::unique_ptr<Consumer> consumer_;
  std::string cluster_;
  std::vector<std::unique_ptr<Reading>> readings_;
  // Where messages belong: the library's topic and the partition. Few, so a list that keeps the last one first.
  std::vector<std::pair<std::pair<const rd_kafka_topic_t*, std::int32_t>, Reading*>> by_handle_;
  std::int64_t looked_ns_ = 0;
  std::int64_t committed_ns_ = 0;
  std::int64_t noted_ns_ = 0;  // when lag_ was written
  mutable std::mutex mutex_;
  std::string durable_;            // guarded by mutex_; the last durable position
  std::vector<PartitionLag> lag_;  // guarded by mutex_
  bool moved_ = false;             // since offsets were committed as information
  bool open_ = false;              // a transaction is at work: rows were delivered since the last commit
  std::size_t open_records_ = 0;   // of it
  bool torn_ = false;              // the run stops, and a part of what the positions say was not delivered
  std::int64_t last_commit_ns_ = 0;
};

}  // namespace thalweg::kafka
