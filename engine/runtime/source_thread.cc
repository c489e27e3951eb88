#include "engine/runtime/source_thread.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "engine/runtime/shared.h"

namespace thalweg {

namespace {

// A record that the source itself rejected, so that it reaches the log within the transaction it belongs to.
class RejectedPiece : public Piece {
 public:
  explicit RejectedPiece(BadRecord record) : record_(std::move(record)) {}
  [[nodiscard]] std::size_t bytes() const override { return record_.raw.size(); }
  void decode(RowSink& out) override { out.bad_record(std::move(record_)); }

 private:
  BadRecord record_;
};

}  // namespace

SourceThread::SourceThread(std::shared_ptr<RunShared> shared, std::uint32_t id, std::unique_ptr<Source> source,
                           std::optional<Resume> resume)
    : env_(shared->env_owner),
      shared_(std::move(shared)),
      id_(id),
      source_(std::move(source)),
      stop_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      keeps_(resume.has_value()),
      resume_(std::move(resume).value_or(Resume{})) {}

SourceThread::~SourceThread() {
  stop();
  if (thread_.joinable()) thread_.join();
  run()->ingest->listen(id_, nullptr);
  ::close(stop_fd_);
}

void SourceThread::start() {
  run()->ingest->listen(id_, [this](std::uint64_t transactions) { source_->committed(transactions); });
  thread_ = std::thread([this] { body(); });
}

void SourceThread::stop() {
  stopping_ = true;
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(stop_fd_, &one, sizeof one);
}

void SourceThread::move_to(std::shared_ptr<RunShared> shared) {
  std::lock_guard lock(mutex_);
  shared_ = std::move(shared);
}

bool SourceThread::deliver(std::unique_ptr<Piece> piece) { return run()->ingest->deliver(id_, std::move(piece), {}); }

bool SourceThread::deliver(Batch batch) { return run()->ingest->deliver(id_, nullptr, std::move(batch)); }

void SourceThread::commit(std::string position) {
  run()->ingest->end_transaction(id_, std::move(position), std::exchange(puts_, {}));
}

void SourceThread::put(std::string name, Blob value) {
  if (keeps_) puts_.emplace_back(std::move(name), std::move(value));
}

void SourceThread::idle() {
  std::shared_ptr<RunShared> shared = run();
  {
    std::lock_guard lock(shared->mutex);
    shared->source_idle[id_] = true;
    if (!shared->all_idle_ns && std::ranges::all_of(shared->source_idle, std::identity()))
      shared->all_idle_ns = env_->clock->monotonic_ns();
  }
  shared->changed.notify_all();
}

void SourceThread::bad_record(BadRecord record) {
  std::shared_ptr<RunShared> shared = run();
  if (record.fatal)
    shared->fail_run(
        Error{Code::kBadData, located_message(record), shared->plan.node(shared->source_nodes[id_]).span, {}});
  deliver(std::make_unique<RejectedPiece>(std::move(record)));
}

void SourceThread::warn(std::string message) {
  std::shared_ptr<RunShared> shared = run();
  std::lock_guard lock(shared->mutex);
  shared->source_messages[id_] = std::move(message);
}

bool SourceThread::wait(std::int64_t ns, int wake_fd) {
  pollfd fds[2] = {{stop_fd_, POLLIN, 0}, {wake_fd, POLLIN, 0}};
  timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
  ::ppoll(fds, wake_fd >= 0 ? 2 : 1, &timeout, nullptr);
  return !stopping_;
}

void SourceThread::body() {
  Result<void> done = source_->run(*this);
  if (!done) {
    warn(done.error().message);
    std::shared_ptr<RunShared> shared = run();
    SourceSpan span = shared->plan.node(shared->source_nodes[id_]).span;
    shared->fail_run(std::move(done).error().at(span));
  }
  idle();
  run()->ingest->end_source(id_);
}

std::shared_ptr<RunShared> SourceThread::run() const {
  std::lock_guard lock(mutex_);
  return shared_;
}

}  // namespace thalweg
