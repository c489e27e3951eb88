#include "connectors/http/answer_stream.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "connectors/formats/encode.h"

namespace thalweg::web {
namespace {

// The streams of the process, by name.
struct AnswerStreams {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<AnswerStream>, std::less<>> by_name;  // guarded by mutex
};

AnswerStreams& answer_streams() {
  static AnswerStreams all;
  return all;
}

}  // namespace

// What the connection reads.
class AnswerStream::Body final : public net::BodyStream {
 public:
  explicit Body(std::shared_ptr<AnswerStream> stream) : stream_(std::move(stream)) {}
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  ~Body() override {
    const std::lock_guard lock(stream_->mutex_);
    stream_->gone_ = true;
    stream_->pending_.clear();
    stream_->waker_.reset();
  }

  More next(std::string& piece, bool heartbeat) override {
    const std::lock_guard lock(stream_->mutex_);
    std::string& pending = stream_->pending_;
    if (pending.size() > kPendingMax) return More::kAbort;
    const std::size_t bytes = std::min(pending.size(), kPieceBytes);
    piece.append(pending, 0, bytes);
    pending.erase(0, bytes);
    if (!pending.empty()) return More::kYes;
    if (stream_->ended_) return More::kEnd;
    if (heartbeat && bytes == 0) piece += ": \n\n";
    return More::kWait;
  }

 private:
  const std::shared_ptr<AnswerStream> stream_;
};

std::shared_ptr<AnswerStream> AnswerStream::open(std::string name, net::HttpReply reply) {
  auto out = std::make_shared<AnswerStream>(name, std::move(reply));
  AnswerStreams& all = answer_streams();
  const std::lock_guard lock(all.mutex);
  all.by_name[std::move(name)] = out;
  return out;
}

std::shared_ptr<AnswerStream> AnswerStream::find(std::string_view name) {
  AnswerStreams& all = answer_streams();
  const std::lock_guard lock(all.mutex);
  const auto found = all.by_name.find(name);
  return found == all.by_name.end() ? nullptr : found->second.lock();
}

AnswerStream::~AnswerStream() {
  AnswerStreams& all = answer_streams();
  const std::lock_guard lock(all.mutex);
  const auto found = all.by_name.find(name_);
  if (found != all.by_name.end() && found->second.expired()) all.by_name.erase(found);
}

void AnswerStream::token(std::string_view text) {
  if (text.empty()) return;
  std::string data = "{\"text\":";
  append_json_string(text, data);
  {
    const std::lock_guard lock(mutex_);
    shown_ += text;
  }
  event("token", data + "}");
}

void AnswerStream::reset() {
  {
    const std::lock_guard lock(mutex_);
    if (shown_.empty()) return;
    shown_.clear();
  }
  event("reset", "{}");
}

std::string AnswerStream::shown() const {
  const std::lock_guard lock(mutex_);
  return shown_;
}

net::HttpReply AnswerStream::reply() {
  return net::HttpReply([self = shared_from_this()](net::HttpResponse response) { self->finish(std::move(response)); });
}

void AnswerStream::finish(net::HttpResponse response) {
  bool begun = false;
  {
    const std::lock_guard lock(mutex_);
    begun = begun_;
    if (!begun && response.status != 200) ended_ = true;
  }
  if (!begun && response.status != 200) return reply_.send(std::move(response));
  while (response.body.ends_with('\n')) response.body.pop_back();
  event(response.status == 200 ? "answer" : "error", response.body);
}

// `data` is JSON on one line.
void AnswerStream::event(std::string_view name, std::string_view data) {
  bool begins = false;
  std::shared_ptr<net::Waker> waker;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = name == "answer" || name == "error";
    if (!gone_ && pending_.size() <= kPendingMax)
      pending_.append("event: ").append(name).append("\ndata: ").append(data).append("\n\n");
    begins = !std::exchange(begun_, true);
    waker = waker_;
  }
  if (waker) waker->wake();
  if (!begins) return;
  net::HttpResponse response;
  response.headers.add("Content-Type", "text/event-stream");
  response.headers.add("Cache-Control", "no-store");
  response.stream = [self = shared_from_this()](std::shared_ptr<net::Waker> wakes) {
    {
      const std::lock_guard lock(self->mutex_);
      self->waker_ = std::move(wakes);
    }
    return std::make_unique<Body>(self);
  };
  reply_.send(std::move(response));
}

bool accepts_events(const net::HttpRequest& request) {
  const std::string* accept = request.headers.find("Accept");
  if (accept == nullptr) return false;
  std::string lower = *accept;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower.find("text/event-stream") != std::string::npos && lower.find("application/json") == std::string::npos;
}

}  // namespace thalweg::web
