#include "engine/runtime/egress.h"

#include "engine/base/crash_point.h"

namespace thalweg {

Egress::Egress(std::unique_ptr<Sink> sink, Schema schema, std::string name, Env& env,
               std::function<void(Error)> on_failure)
    : sink_(std::move(sink)),
      schema_(std::move(schema)),
      name_(std::move(name)),
      env_(env),
      on_failure_(std::move(on_failure)),
      discards_(sink_->discards()) {
  refusals_ = std::make_unique<Refusals>(schema_, LetterPolicy{.connector = name_}, *env_.disk);
}

Egress::~Egress() { close(false); }

void Egress::keep_letters(LetterPolicy policy, std::shared_ptr<durable::DeadLetters> store, std::string part,
                          bool durable) {
  refusals_ = std::make_unique<Refusals>(schema_, std::move(policy), *env_.disk);
  refusals_->use(std::move(store), std::move(part), durable);
}

Result<void> Egress::open(SinkContext context) {
  context.env = &env_;
  context.schema = schema_;
  context.name = name_;
  refusals_->connect(context);
  TRY(sink_->open(context));
  if (auto last = sink_->last_commit()) written_ = last;
  thread_ = std::thread([this] { loop(); });
  return {};
}

Result<void> Egress::resume(std::optional<Commit> written, std::vector<std::pair<Commit, Batch>> waiting) {
  std::optional<Commit> there;
  {
    std::lock_guard lock(mutex_);
    if (!written_) written_ = written;  // what the sink says itself counts more
    there = written_;
  }
  TRY(refusals_->resume(there.value_or(0)));
  std::optional<Commit> last;
  for (auto& [commit, batch] : waiting) {
    if (last && *last != commit) end(*last);
    last = commit;
    write(commit, std::move(batch));
  }
  if (last) end(*last);
  return {};
}

void Egress::release(Commit commit) {
  {
    std::lock_guard lock(mutex_);
    released_ = std::max(released_, commit);
  }
  changed_.notify_all();
}

Egress::Saved Egress::what_waits(Commit commit) const {
  Saved out{.saved = {}, .written = written_, .waiting = {}};
  for (const auto& [of, batch] : begun_batches_)
    if (of <= commit) out.waiting.emplace_back(of, batch);
  for (const Entry& entry : queue_)
    if (entry.batch && entry.commit <= commit) out.waiting.emplace_back(entry.commit, *entry.batch);
  // Nothing waits of commits up to this one: they count as written, also where they had no rows.
  if (out.waiting.empty() && out.written.value_or(0) < commit) out.written = commit;
  return out;
}

Result<Egress::Saved> Egress::save(Commit commit) {
  std::unique_lock lock(mutex_);
  if (!sink_->saves() || !thread_.joinable() || failed_) return what_waits(commit);
  save_wanted_ = commit;
  saved_.reset();
  changed_.notify_all();
  changed_.wait(lock, [&] { return saved_ || failed_; });
  if (!saved_) return fail(Code::kCancelled, "the output '" + name_ + "' has failed");
  return std::move(*saved_);
}

void Egress::save_now(Commit commit) {
  Result<std::string> saved = sink_->save();
  {
    std::lock_guard lock(mutex_);
    Saved all = what_waits(commit);
    if (saved) all.saved = std::move(*saved);
    saved_ = saved ? Result<Saved>(std::move(all)) : Result<Saved>(fail(std::move(saved).error()));
    save_wanted_.reset();
  }
  changed_.notify_all();
}

void Egress::tell_failures_to(std::function<void(Error)> on_failure) {
  std::lock_guard lock(mutex_);
  on_failure_ = std::move(on_failure);
}

void Egress::tell_room_to(std::function<void()> on_room) {
  std::lock_guard lock(mutex_);
  on_room_ = std::move(on_room);
}

bool Egress::behind() const {
  return !failed_ && (queued_commits_ > kQueuedCommitsMax || queued_rows_ > kQueuedRowsMax);
}

bool Egress::is_behind() {
  std::lock_guard lock(mutex_);
  return behind();
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
  if (held_ && written_ && entry.commit <= *written_) return;  // it has it already
  changed_.wait(lock, [&] { return failed_ || queued_rows_ < kQueuedRowsMax || !may_go(entry); });
  if (failed_) return;
  if (entry.batch) {
    queued_rows_ += entry.batch->num_rows;
    rows_ += entry.batch->num_rows;
    pushed_rows_ = true;
  } else {
    entry.ends_rows = std::exchange(pushed_rows_, false);
    if (entry.ends_rows) ++queued_commits_;
  }
  queue_.push_back(std::move(entry));
  changed_.notify_all();
}

void Egress::write(Commit commit, Batch batch) {
  if (batch.empty()) return;
  push({commit, std::move(batch)});
}

void Egress::end(Commit commit) { push({commit, std::nullopt}); }

Result<void> Egress::begin(Commit commit) {
  if (begun_ == commit) return {};
  TRY(sink_->begin(commit));
  refusals_->begin(commit);
  begun_ = commit;
  return {};
}

Result<void> Egress::handle(const Entry& entry) {
  if (entry.batch) {
    TRY(begin(entry.commit));
    const Batch batch = refusals_->filter(*entry.batch);
    return batch.empty() ? Result<void>() : sink_->write(entry.commit, batch);
  }
  if (refusals_->has_replays()) {
    TRY(begin(entry.commit));
    if (const Batch rows = refusals_->take_replays(); !rows.empty()) TRY(sink_->write(entry.commit, rows));
  }
  if (begun_ != entry.commit) return {};  // nothing was written in it
  begun_.reset();
  crash_point("output.before_end");
  TRY(sink_->end(entry.commit));
  crash_point("output.after_end");
  return refusals_->finish();
}

void Egress::loop() {
  for (;;) {
    Entry entry;
    {
      std::unique_lock lock(mutex_);
      auto may_save = [&] { return save_wanted_ && !begun_; };
      auto may_write = [&] { return !queue_.empty() && may_go(queue_.front()); };
      changed_.wait(lock, [&] { return closing_ || may_save() || may_write(); });
      if (may_save()) {
        Commit commit = *save_wanted_;
        lock.unlock();
        save_now(commit);
        continue;
      }
      if (!may_write()) return;  // closing: what is not durable is not written
      entry = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
      if (held_ && entry.batch) begun_batches_.emplace_back(entry.commit, *entry.batch);
    }
    Result<void> done = handle(entry);
    std::function<void()> has_room;
    {
      std::lock_guard lock(mutex_);
      bool was_behind = behind();
      busy_ = false;
      if (done && !entry.batch) {
        written_ = std::max(written_.value_or(0), entry.commit);
        begun_batches_.clear();
      }
      if (entry.batch) queued_rows_ -= entry.batch->num_rows;
      if (entry.ends_rows) --queued_commits_;
      if (!done) {
        failed_ = true;
        queue_.clear();
      }
      if (was_behind && !behind()) has_room = on_room_;
    }
    changed_.notify_all();
    if (has_room) has_room();
    if (!done) {
      failed(std::move(done).error());
      return;
    }
  }
}

void Egress::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ || ((queue_.empty() || !may_go(queue_.front())) && !busy_); });
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
