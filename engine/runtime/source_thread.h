// engine/runtime/source_thread.h
//
// A source on its thread, and what it sees of the run.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/io/lag.h"
#include "engine/io/reread.h"
#include "engine/io/source.h"
#include "engine/runtime/ingest.h"

namespace thalweg {

struct RunShared;

// Sleeps on an eventfd that stop() makes readable.
// Its run may change under it (move_to): every call goes to the run of the moment.
class SourceThread : public SourceContext {
 public:
  // `resume`: where an earlier run left it, and what it kept; null where no state is kept.
  struct Resume {
    std::string position;
    BlobMap blobs;
  };
  SourceThread(std::shared_ptr<RunShared> shared, std::uint32_t id, std::unique_ptr<Source> source,
               std::optional<Resume> resume);
  ~SourceThread() override;

  void start();
  void stop();

  void move_to(std::shared_ptr<RunShared> shared);

  bool deliver(std::unique_ptr<Piece> piece) override;
  bool deliver(Batch batch) override;
  void commit(std::string position) override;
  [[nodiscard]] bool keeps_positions() const override { return keeps_; }
  void put(std::string name, Blob value) override;
  [[nodiscard]] const BlobMap& saved() const override { return resume_.blobs; }
  [[nodiscard]] RereadsRecords* rereads() const { return dynamic_cast<RereadsRecords*>(source_.get()); }
  [[nodiscard]] std::vector<PartitionLag> lag() const {
    const auto* knows = dynamic_cast<const KnowsLag*>(source_.get());
    return knows ? knows->lag() : std::vector<PartitionLag>();
  }
  void confirm(const std::string& position) { source_->on_durable(position); }  // any thread
  [[nodiscard]] const Source& source() const { return *source_; }
  void idle() override;
  void bad_record(BadRecord record) override;
  void warn(std::string message) override;
  [[nodiscard]] bool stopping() const override { return stopping_; }
  bool wait(std::int64_t ns, int wake_fd) override;
  [[nodiscard]] Env& env() override { return *env_; }
  [[nodiscard]] const std::string& resume_position() const override { return resume_.position; }

 private:
  void body();
  [[nodiscard]] std::shared_ptr<RunShared> run() const;

  const std::shared_ptr<Env> env_;
  mutable std::mutex mutex_;
  std::shared_ptr<RunShared> shared_;  // guarded by mutex_
  const std::uint32_t id_;
  const std::unique_ptr<Source> source_;
  const int stop_fd_;
  const bool keeps_;
  const Resume resume_;
  Ingest::Puts puts_;  // since the last commit
  std::thread thread_;
  std::atomic<bool> stopping_{false};
};

}  // namespace thalweg
