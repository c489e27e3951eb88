#include "connectors/http/input_server.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "connectors/formats/format.h"
#include "connectors/http/problem.h"
#include "connectors/http/request_row.h"

namespace thalweg::web {
namespace {

constexpr std::int64_t kSleepNs = 1'000'000'000;
constexpr std::size_t kEventRows = 4096;

net::HttpResponse not_running() { return problem(503, "not_running", "the pipeline does not run; send it again"); }

}  // namespace

InputServer::InputServer(Options options)
    : options_(std::move(options)), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
InputServer::~InputServer() { ::close(wake_fd_); }

Key InputServer::key_of(const std::vector<Value>& cells) const {
  const auto given = primary_key_of(options_.fields, cells);
  return given ? *given : Key{options_.rng->next(), options_.rng->next()};
}

void InputServer::handle(Exchange exchange) {
  if (options_.format != Format::kJson) return handle_text(std::move(exchange));
  const bool deletes = exchange.http.method == "DELETE";
  if (deletes && !has_primary_key(options_.fields))
    return exchange.reply.send(problem(405, "method_not_allowed", "only rows of a primary key can be deleted"));
  auto records = records_of(exchange.http.body);
  if (!records) return exchange.reply.send(field_problem(records.error().message, "", records.error().line));
  if (records->empty() && !exchange.query.empty()) records->push_back({1, *json::JsonObject::parse("{}")});
  if (records->empty()) return exchange.reply.send(field_problem("the body is empty", ""));
  std::vector<plan::SourceField> fields = options_.fields;
  if (deletes)  // the key is enough
    for (plan::SourceField& field : fields)
      if (!field.primary_key) field.default_value = Value::none();
  const bool several = records->size() > 1;
  std::vector<Row> rows;
  rows.reserve(records->size());
  for (const BodyRecord& record : *records) {
    auto cells = row_of(fields, &record.object, exchange.query);
    if (!cells) {
      const std::string where = several ? "row " + std::to_string(record.line) + ": " : "";
      return exchange.reply.send(
          field_problem(where + cells.error().message, cells.error().field, several ? record.line : 0));
    }
    const Key key = key_of(*cells);
    rows.push_back({key, std::move(*cells), deletes ? -1 : 1});
  }
  accept(std::move(rows), exchange.http.body.size(), std::move(exchange.reply));
}

void InputServer::handle_text(Exchange exchange) {
  std::string_view body = exchange.http.body;
  const std::size_t bytes = body.size();
  const bool raw = options_.format == Format::kRaw;
  const auto row_of_text = [&](std::string_view text) {
    std::vector<Value> cells;
    for (const plan::SourceField& field : options_.fields)
      cells.push_back(field.type.is(Kind::kBytes) ? Value::bytes(std::string(text)) : Value::str(std::string(text)));
    const Key key = key_of(cells);
    return Row{key, std::move(cells), 1};
  };
  if (!raw && !is_utf8(body)) return exchange.reply.send(field_problem("the body is no UTF-8 text", ""));
  std::vector<Row> rows;
  if (raw) rows.push_back(row_of_text(body));
  while (!raw && !body.empty()) {
    const std::size_t end = std::min(body.find('\n'), body.size());
    std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    rows.push_back(row_of_text(line));
  }
  if (rows.empty()) return exchange.reply.send(field_problem("the body is empty", ""));
  accept(std::move(rows), bytes, std::move(exchange.reply));
}

void InputServer::accept(std::vector<Row> rows, std::size_t bytes, net::HttpReply reply) {
  {
    std::unique_lock lock(mutex_);
    const bool full = coming_.size() >= options_.pending_max || bytes_ >= kQueuedBytesMax;
    if (closed_ || full) {
      lock.unlock();
      return reply.send(full ? problem(503, "too_busy", "the pipeline is behind; send it again later") : not_running());
    }
    coming_.push_back({std::move(reply), rows.size()});
    bytes_ += bytes;
    std::ranges::move(rows, std::back_inserter(rows_));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
}

std::vector<InputServer::Row> InputServer::take() {
  std::uint64_t ignored = 0;
  [[maybe_unused]] const ssize_t read = ::read(wake_fd_, &ignored, sizeof ignored);
  const std::lock_guard lock(mutex_);
  if (coming_.empty()) return {};
  waiting_.emplace(++next_transaction_, std::exchange(coming_, {}));
  bytes_ = 0;
  return std::exchange(rows_, {});
}

void InputServer::committed(std::uint64_t transactions) {
  std::vector<Waiting> done;
  {
    const std::lock_guard lock(mutex_);
    while (!waiting_.empty() && waiting_.begin()->first <= transactions) {
      std::ranges::move(waiting_.begin()->second, std::back_inserter(done));
      waiting_.erase(waiting_.begin());
    }
  }
  for (const Waiting& one : done) one.reply.send(json_answer(202, "{\"accepted\":" + std::to_string(one.rows) + "}\n"));
}

void InputServer::close(bool at_once) {
  std::vector<Waiting> refused;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    refused = std::exchange(coming_, {});
    rows_.clear();
    if (at_once)
      for (auto& [transaction, requests] : std::exchange(waiting_, {}))
        std::ranges::move(requests, std::back_inserter(refused));
  }
  for (const Waiting& one : refused) one.reply.send(not_running());
}

// ---------------------------------------------------------------- the source

InputSource::InputSource(const plan::Source& source, std::unique_ptr<WebHost::Route> route,
                         std::shared_ptr<InputServer> server)
    : fields_(source.fields), route_(std::move(route)), server_(std::move(server)) {}

InputSource::~InputSource() {
  route_->close();
  server_->close(true);
}

Result<void> InputSource::run(SourceContext& context) {
  durable_ = context.keeps_positions();
  const std::string& position = context.resume_position();
  std::uint64_t first = 0;
  (void)std::from_chars(position.data(), position.data() + position.size(), first);
  first_ = first;
  const Schema schema = used_columns(fields_);
  std::uint64_t transaction = first;
  std::uint64_t order = 0;
  while (!context.stopping()) {
    const std::vector<InputServer::Row> rows = server_->take();
    if (rows.empty()) {
      context.idle();
      context.wait(kSleepNs, server_->wake_fd());
      continue;
    }
    bool more = true;
    for (std::size_t begin = 0; more && begin < rows.size(); begin += kEventRows) {
      BatchBuilder builder(schema);
      for (std::size_t i = begin; i < std::min(rows.size(), begin + kEventRows); ++i)
        builder.push(rows[i].key, used_cells(fields_, rows[i].cells), rows[i].diff);
      Batch batch = builder.finish();
      batch.order = ++order;
      more = context.deliver(std::move(batch));
    }
    if (!more) break;
    context.commit(std::to_string(++transaction));
  }
  route_->close();
  server_->close(false);  // what is in the running commit is still answered by it
  return {};
}

void InputSource::committed(std::uint64_t transactions) {
  if (!durable_) server_->committed(transactions);
}

void InputSource::on_durable(const std::string& position) {
  std::uint64_t transactions = 0;
  const auto [end, error] = std::from_chars(position.data(), position.data() + position.size(), transactions);
  if (error == std::errc() && transactions >= first_) server_->committed(transactions - first_);
}

}  // namespace thalweg::web
