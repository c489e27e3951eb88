#include "engine/runtime/egress.h"

namespace thalweg {

Egress::Egress(std::unique_ptr<Sink> sink, Schema schema, std::string name, Env& env,
               std::function<void(Error)> on_failure)
    : sink_(std::move(sink)),
      schema_(std::move(schema)),
      name_(std::move(name)),
      env_(env),
      on_failure_(std::move(on_failure)),
      discards_(sink_->discards()) {}

Egress::~Egress() { close(false); }

Result<void> Egress::open() {
  TRY(sink_->open(SinkContext{.env = &env_, .schema = schema_, .name = name_}));
  thread_ = std::thread([this] { loop(); });
  return {};
}

void Egress::tell_failures_to(std::function<void(Error)> on_failure) {
  std::lock_guard lock(mutex_);
  on_failure_ = std::move(on_failure);
}

void Egress::failed(Error error) {
  std::function<void(Error)> call;
  {
    std::lock_guard lock(mutex_);
    call = on_failure_;
  }
  call(std::move(error));
}

void Egress::push(Entry entry) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ || queued_rows_ < kQueuedRowsMax; });
  if (failed_) return;
  if (entry.batch) queued_rows_ += entry.batch->num_rows;
  queue_.push_back(std::move(entry));
  changed_.notify_all();
}

void Egress::write(Commit commit, Batch batch) {
  if (batch.empty()) return;
  rows_ += batch.num_rows;
  push({commit, std::move(batch)});
}

void Egress::end(Commit commit) { push({commit, std::nullopt}); }

Result<void> Egress::handle(const Entry& entry) {
  if (entry.batch) {
    if (begun_ != entry.commit) {
      TRY(sink_->begin(entry.commit));
      begun_ = entry.commit;
    }
    return sink_->write(entry.commit, *entry.batch);
  }
  if (begun_ != entry.commit) return {};  // nothing was written in it
  begun_.reset();
  return sink_->end(entry.commit);
}

void Egress::loop() {
  for (;;) {
    Entry entry;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      entry = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
    }
    Result<void> done = handle(entry);
    {
      std::lock_guard lock(mutex_);
      busy_ = false;
      if (entry.batch) queued_rows_ -= entry.batch->num_rows;
      if (!done) {
        failed_ = true;
        queue_.clear();
      }
    }
    changed_.notify_all();
    if (!done) {
      failed(std::move(done).error());
      return;
    }
  }
}

void Egress::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ || (queue_.empty() && !busy_); });
}

void Egress::close(bool complete) {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
  Result<void> closed = sink_->close(complete && !failed_ && !begun_);
  if (!closed && !failed_) {
    failed_ = true;
    failed(std::move(closed).error());
  }
}

}  // namespace thalweg
