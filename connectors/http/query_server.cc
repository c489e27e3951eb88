#include "connectors/http/query_server.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "connectors/formats/format.h"
#include "connectors/http/answer_stream.h"
#include "connectors/http/problem.h"
#include "connectors/http/request_row.h"

namespace thalweg::web {
namespace {

constexpr std::size_t kCachedBytesMax = 64 * 1024;  // of one answer

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

bool is_all_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

// A body says so with a member, a query with a parameter.
bool wants_stream(const Exchange& exchange, const json::JsonObject* body) {
  if (accepts_events(exchange.http)) return true;
  if (body != nullptr && body->find("stream") == "true") return true;
  return std::ranges::any_of(exchange.query,
                             [](const auto& one) { return one.first == "stream" && one.second == "true"; });
}

}  // namespace

PendingQueries& pending_queries() {
  static PendingQueries all;
  return all;
}

bool PendingQueries::answer(const Key& key, std::string body) {
  std::unique_lock lock(mutex_);
  const auto found = waiting_.find(key);
  if (found == waiting_.end()) return false;
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  lock.unlock();
  waiting.server->completed(key, &body);
  waiting.reply.send(json_answer(200, std::move(body)));
  return true;
}

bool PendingQueries::refuse(const Key& key, net::HttpResponse response) {
  std::unique_lock lock(mutex_);
  const auto found = waiting_.find(key);
  if (found == waiting_.end()) return false;
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  lock.unlock();
  waiting.server->completed(key, nullptr);
  waiting.reply.send(std::move(response));
  return true;
}

std::shared_ptr<QueryServer> PendingQueries::successor_of(const QueryServer& server) {
  std::vector<std::shared_ptr<QueryServer>> others;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(servers_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : servers_)
      if (auto other = weak.lock(); other && other.get() != &server) others.push_back(std::move(other));
  }
  for (auto& other : others) {
    if (other->options_.identity != server.options_.identity || !other->same_columns(server)) continue;
    const std::lock_guard lock(other->mutex_);  // never taken inside of ours: `ask` takes them the other way round
    if (!other->closed_) return other;
  }
  return nullptr;
}

// ---------------------------------------------------------------- queries

std::shared_ptr<QueryServer> QueryServer::make(Options options, const std::shared_ptr<WebHost>& host) {
  std::shared_ptr<QueryServer> out(new QueryServer(std::move(options), host));
  PendingQueries& all = pending_queries();
  const std::lock_guard lock(all.mutex_);
  all.servers_.push_back(out);
  return out;
}

QueryServer::QueryServer(Options options, const std::shared_ptr<WebHost>& host)
    : options_(std::move(options)), host_(host), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

QueryServer::~QueryServer() { ::close(wake_fd_); }

bool QueryServer::same_columns(const QueryServer& other) const {
  return std::ranges::equal(options_.fields, other.options_.fields,
                            [](const auto& a, const auto& b) { return a.name == b.name && a.type == b.type; });
}

void QueryServer::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
}

void QueryServer::handle(Exchange exchange) {
  const Key key{options_.rng->next(), options_.rng->next()};
  const std::string& body = exchange.http.body;
  if (options_.raw_body) {
    if (!is_utf8(body)) return exchange.reply.send(field_problem("the body is no UTF-8 text", "query"));
    return ask(key, {Value::str(body)}, body, std::move(exchange.reply));
  }
  std::optional<json::JsonObject> object;
  if (!is_all_blank(body)) {
    object = json::JsonObject::parse(on_one_line(body.substr(0, body.find_last_not_of(" \t\r\n") + 1)));
    if (!object) return exchange.reply.send(field_problem("the body is no JSON object", ""));
  }
  auto cells = row_of(options_.fields, object ? &*object : nullptr, exchange.query);
  if (!cells) return exchange.reply.send(field_problem(cells.error().message, cells.error().field));
  std::string request;
  if (options_.cached_max > 0)
    for (const Value& cell : *cells) {
      const std::string text = cell.to_text();
      request += std::to_string(static_cast<int>(cell.tag())) + ":" + std::to_string(text.size()) + ":" + text;
    }
  if (options_.stream_field) {
    Value& name = (*cells)[*options_.stream_field];
    name = Value::none();
    if (wants_stream(exchange, object ? &*object : nullptr)) {
      name = Value::str(to_text(key));
      exchange.reply = AnswerStream::open(name.as_text(), std::move(exchange.reply))->reply();
    }
  }
  ask(key, std::move(*cells), std::move(request), std::move(exchange.reply));
}

void QueryServer::ask(const Key& key, std::vector<Value> cells, std::string request, net::HttpReply reply) {
  bool arm = false;
  {
    std::unique_lock lock(mutex_);
    if (const auto known = cache_.find(request); options_.cached_max > 0 && known != cache_.end()) {
      std::string body = known->second;
      lock.unlock();
      return reply.send(json_answer(200, std::move(body)));
    }
    if (closed_) {
      lock.unlock();
      return reply.send(problem(503, "not_running", "the pipeline does not run"));
    }
    if (open_.size() >= options_.pending_max) {
      lock.unlock();
      return reply.send(problem(503, "too_many_queries", "too many queries wait for their answers"));
    }
    {
      PendingQueries& all = pending_queries();
      const std::lock_guard inner(all.mutex_);
      all.waiting_.emplace(key, PendingQueries::Waiting{std::move(reply), shared_from_this()});
    }
    changes_.push_back({key, cells, 1});
    open_.emplace(key, Query{std::move(cells), std::move(request)});
    arm = add_deadline(key);
  }
  wake();
  if (arm) arm_timer(options_.timeout_ns);
}

bool QueryServer::add_deadline(const Key& key) {
  while (!deadlines_.empty() && !open_.contains(deadlines_.front().second)) deadlines_.pop_front();
  deadlines_.emplace_back(now_ns() + options_.timeout_ns, key);
  return !std::exchange(timer_armed_, true);
}

void QueryServer::arm_timer(std::int64_t ns) {
  const auto host = host_.lock();
  if (!host) return;
  host->loop().after(ns, [weak = weak_from_this()] {
    if (const auto alive = weak.lock()) alive->expire();
  });
}

void QueryServer::expire() {
  std::vector<Key> late;
  std::int64_t next_ns = 0;
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t now = now_ns();
    while (!deadlines_.empty()) {
      const auto& [deadline, key] = deadlines_.front();
      const bool is_open = open_.contains(key);
      if (is_open && deadline > now) break;
      if (is_open) late.push_back(key);
      deadlines_.pop_front();
    }
    timer_armed_ = !deadlines_.empty();
    if (timer_armed_) next_ns = deadlines_.front().first - now;
  }
  for (const Key& key : late)
    (void)pending_queries().refuse(key, problem(504, "no_answer", "the pipeline gave no answer in time"));
  if (next_ns > 0) arm_timer(next_ns);
}

// `body`: what was answered; null for a refusal.
void QueryServer::completed(const Key& key, const std::string* body) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(key);
    if (found == open_.end()) return;
    if (body != nullptr && options_.cached_max > 0 && body->size() <= kCachedBytesMax) {
      if (cache_.size() >= options_.cached_max) cache_.clear();
      cache_[found->second.request] = *body;
    }
    if (options_.delete_completed && !closed_) changes_.push_back({key, std::move(found->second.cells), -1});
    open_.erase(found);
  }
  wake();
}

std::vector<QueryServer::Change> QueryServer::take() {
  std::uint64_t ignored = 0;
  [[maybe_unused]] const ssize_t read = ::read(wake_fd_, &ignored, sizeof ignored);
  const std::lock_guard lock(mutex_);
  return std::exchange(changes_, {});
}

void QueryServer::adopt(const Key& key, std::vector<Value> cells, std::string request) {
  bool arm = false;
  {
    const std::lock_guard lock(mutex_);
    changes_.push_back({key, cells, 1});
    open_.emplace(key, Query{std::move(cells), std::move(request)});
    arm = add_deadline(key);
  }
  wake();
  if (arm) arm_timer(options_.timeout_ns);
}

void QueryServer::close(std::int64_t grace_ns) {
  std::unordered_map<Key, Query> open;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    open.swap(open_);
  }
  if (open.empty()) return;
  PendingQueries& all = pending_queries();
  if (const auto next = all.successor_of(*this)) {
    for (auto& [key, query] : open) {
      next->adopt(key, std::move(query.cells), std::move(query.request));
      bool waits = false;
      {
        const std::lock_guard lock(all.mutex_);
        const auto waiting = all.waiting_.find(key);
        waits = waiting != all.waiting_.end();
        if (waits) waiting->second.server = next;
      }
      if (!waits) next->completed(key, nullptr);  // answered meanwhile
    }
    return;
  }
  std::vector<Key> keys;
  for (const auto& [key, query] : open) keys.push_back(key);
  const auto refuse = [keys] {
    for (const Key& key : keys)
      (void)pending_queries().refuse(key, problem(503, "not_running", "the pipeline has ended"));
  };
  const auto host = host_.lock();
  if (host)
    host->loop().after(grace_ns, refuse);
  else
    refuse();
}

}  // namespace thalweg::web
