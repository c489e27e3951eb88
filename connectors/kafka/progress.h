// connectors/kafka/progress.h
//
// How far a sink is, kept in Kafka beside what it wrote: a record {commit, generation} under the sink's name in a
// compacted topic, part of the same transaction as the commit's messages.
#pragma once

#include <cstdint>
#include <string>

#include "connectors/kafka/client.h"

namespace thalweg::kafka {

class Progress {
 public:
  // `name` is the writer's transactional id. Makes the topic if it is missing.
  Progress(std::string topic, std::string name) : topic_(std::move(topic)), name_(std::move(name)) {}
  // The last commit recorded, 0 if there is none. Requires: transactions of the name are settled (init_transactions).
  // `settings` are the producer's; a consumer leaves those aside that are not its own.
  [[nodiscard]] Result<std::uint64_t> read(const Client& producer, const Settings& settings, int timeout_ms) const;
  [[nodiscard]] Result<void> make_topic(const Client& producer, int timeout_ms) const;
  [[nodiscard]] const std::string& topic() const { return topic_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] static std::string record(std::uint64_t commit);

 private:
  const std::string topic_;
  const std::string name_;
};

}  // namespace thalweg::kafka
