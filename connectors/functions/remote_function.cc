#include "connectors/functions/remote_function.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>

#include <fmt/format.h>

#include "connectors/formats/encode.h"
#include "connectors/formats/json_object.h"
#include "connectors/formats/json_value.h"
#include "connectors/functions/answer_store.h"
#include "connectors/functions/call_threads.h"
#include "connectors/net/digest.h"

namespace thalweg::functions {

namespace {

struct Question {
  std::string line;
  std::string key;  // what it asks, for those that compare
};

// What came of one question: a line, or why there is none.
struct Answer {
  std::string line;
  std::string failure;
};

// The answers of late, by question; the one not used for longest goes first.
class AnswerCache {
 public:
  explicit AnswerCache(std::size_t entries) : entries_max_(entries) {}

  std::optional<std::string> find(const std::string& question) {
    const std::lock_guard lock(mutex_);
    const auto it = by_question_.find(question);
    if (it == by_question_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, it->second);
    return it->second->second;
  }
  void put(const std::string& question, const std::string& answer) {
    const std::lock_guard lock(mutex_);
    if (by_question_.contains(question)) return;
    order_.emplace_front(question, answer);
    by_question_.emplace(question, order_.begin());
    while (by_question_.size() > entries_max_) {
      by_question_.erase(order_.back().first);
      order_.pop_back();
    }
  }

 private:
  using Entries = std::list<std::pair<std::string, std::string>>;
  const std::size_t entries_max_;
  std::mutex mutex_;
  Entries order_;
  std::unordered_map<std::string, Entries::iterator> by_question_;
};

class RemoteFunction final : public plan::UserFunction {
 public:
  RemoteFunction(const plan::FunctionSpec& spec, const RemoteOptions& options, std::unique_ptr<Transport> transport,
                 std::string text)
      : names_(spec.arg_names),
        deterministic_(spec.deterministic),
        propagate_none_(spec.propagate_none),
        options_(options),
        text_(std::move(text)),
        transport_(std::move(transport)),
        threads_(options.capacity),
        cache_(options.cache_entries),
        identity_(transport_->identity().empty() ? text_ : transport_->identity()) {
    if (!options.cache_outlives || options.cache_entries == 0) return;
    place_ = std::make_shared<AnswerPlace>();
    NewAnswerPlaces::add(place_);
  }

  [[nodiscard]] const std::string& text() const override { return text_; }
  [[nodiscard]] bool deterministic() const override { return deterministic_; }
  [[nodiscard]] bool propagates_none() const override { return propagate_none_; }

  [[nodiscard]] Column call(const plan::UserCall& call) const override {
    std::vector<Question> questions;
    std::unordered_map<std::string, std::size_t> known;
    std::vector<std::size_t> question_of(call.rows);
    const bool shares = deterministic_ || options_.cache_entries > 0;
    for (std::size_t row = 0; row < call.rows; ++row) {
      if (call.skips(row)) continue;
      Question asked{question(call, row), {}};
      question_of[row] = questions.size();
      if (shares) {
        asked.key = transport_->question_of(asked.line);
        const auto [it, fresh] = known.emplace(asked.key, questions.size());
        question_of[row] = it->second;
        if (!fresh) continue;
      }
      questions.push_back(std::move(asked));
    }
    const std::vector<Answer> answers = ask(questions);
    ColumnBuilder out(call.result, call.rows);
    for (std::size_t row = 0; row < call.rows; ++row) {
      if (call.skips(row))
        out.push_tagged(call.skip[row]);
      else
        take(answers[question_of[row]], call, row, out);
    }
    return out.finish();
  }

 private:
  std::string question(const plan::UserCall& call, std::size_t row) const {
    const bool named = !names_.empty();
    std::string line(1, named ? '{' : '[');
    for (std::size_t i = 0; i < call.args.size(); ++i) {
      if (i > 0) line += ',';
      if (named) {
        append_json_string(names_[i], line);
        line += ':';
      }
      append_json_cell(call.arg_types[i], call.args[i], row, line);
    }
    line += named ? '}' : ']';
    return line;
  }

  // A question that is under way: who has the same one waits for its answer.
  struct Flight {
    std::mutex mutex;
    std::condition_variable changed;
    bool landed = false;
    Answer answer;
  };
  using Flights = std::vector<std::pair<std::size_t, std::shared_ptr<Flight>>>;

  std::vector<Answer> ask(const std::vector<Question>& questions) const {
    std::vector<Answer> answers(questions.size());
    std::vector<std::size_t> open;
    Flights own, others;
    std::size_t known = 0;
    for (std::size_t i = 0; i < questions.size(); ++i) {
      if (options_.cache_entries == 0) {
        open.push_back(i);
        continue;
      }
      const std::lock_guard lock(flights_mutex_);
      if (auto hit = known_answer(questions[i].key)) {
        answers[i].line = std::move(*hit);
        ++known;
        continue;
      }
      const auto [flight, first] = flights_.try_emplace(questions[i].key);
      if (first) flight->second = std::make_shared<Flight>();
      (first ? own : others).emplace_back(i, flight->second);
      if (first) open.push_back(i);
    }
    if (known + others.size() > 0) transport_->answered_from_cache(known + others.size());
    ask_open(questions, open, answers);
    for (const auto& [at, flight] : own) land(questions[at].key, *flight, answers[at]);
    for (const auto& [at, flight] : others) {
      std::unique_lock lock(flight->mutex);
      flight->changed.wait(lock, [&] { return flight->landed; });
      answers[at] = flight->answer;
    }
    return answers;
  }

  [[nodiscard]] std::string store_key(const std::string& question) const {
    return net::sha256(identity_ + '\0' + question);
  }
  std::optional<std::string> known_answer(const std::string& question) const {
    if (auto hit = cache_.find(question)) return hit;
    const auto store = place_ ? place_->store() : nullptr;
    auto kept = store ? store->find(store_key(question)) : std::nullopt;
    if (kept) cache_.put(question, *kept);
    return kept;
  }
  void keep_answer(const std::string& question, const std::string& answer) const {
    cache_.put(question, answer);
    if (const auto store = place_ ? place_->store() : nullptr) store->put(store_key(question), answer);
  }

  void land(const std::string& question, Flight& flight, const Answer& answer) const {
    {
      const std::lock_guard lock(flights_mutex_);
      flights_.erase(question);
    }
    {
      const std::lock_guard lock(flight.mutex);
      flight.answer = answer;
      flight.landed = true;
    }
    flight.changed.notify_all();
  }

  void ask_open(const std::vector<Question>& questions, const std::vector<std::size_t>& open,
                std::vector<Answer>& answers) const {
    std::vector<std::function<void()>> tasks;
    for (std::size_t begin = 0; begin < open.size(); begin += options_.batch_rows) {
      const std::size_t end = std::min(open.size(), begin + options_.batch_rows);
      tasks.emplace_back(
          [&, begin, end] { ask_batch(questions, std::span(open).subspan(begin, end - begin), answers); });
    }
    if (tasks.size() == 1 && options_.capacity == 1)
      tasks.front()();
    else if (!tasks.empty())
      threads_.run(std::move(tasks));
  }

  void ask_batch(const std::vector<Question>& questions, std::span<const std::size_t> which,
                 std::vector<Answer>& answers) const {
    std::vector<std::string> lines;
    for (const std::size_t i : which) lines.push_back(questions[i].line);
    auto got = exchange(lines);
    if (got && got->size() != lines.size())
      got = std::unexpected(Refusal{fmt::format("{} answers to {} questions", got->size(), lines.size()), false, 0});
    for (std::size_t at = 0; at < which.size(); ++at) {
      Answer& answer = answers[which[at]];
      if (!got) {
        answer.failure = got.error().message;
        continue;
      }
      answer.line = std::move((*got)[at]);
      if (options_.cache_entries > 0 && is_value(answer.line)) keep_answer(questions[which[at]].key, answer.line);
    }
  }

  std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines) const {
    double delay_ms = options_.retries.first_delay_ms;
    for (std::int64_t attempt = 0;; ++attempt) {
      auto got = transport_->exchange(lines, options_.timeout_ms);
      if (got || !got.error().again || attempt >= options_.retries.max) {
        if (!got && attempt > 0) got.error().message += fmt::format(" (after {} attempts)", attempt + 1);
        return got;
      }
      thread_local std::minstd_rand random{std::random_device{}()};
      const double jitter = std::uniform_real_distribution<double>(0, 1)(random) * options_.retries.jitter_ms;
      const double wait_ms = std::max(delay_ms + jitter, static_cast<double>(got.error().after_ms));
      std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(std::min(wait_ms, 3.6e6)));
      delay_ms *= options_.retries.factor;
    }
  }

  static bool is_value(const std::string& line) {
    const auto answer = json::JsonObject::parse(line);
    return answer && !answer->find("value").empty();
  }

  static void take(const Answer& answer, const plan::UserCall& call, std::size_t row, ColumnBuilder& out) {
    const auto failed = [&](std::string_view why) {
      call.fail(row, why);
      out.push_error();
    };
    if (!answer.failure.empty()) return failed(answer.failure);
    const auto line = json::JsonObject::parse(answer.line);
    if (!line) return failed("the answer is no JSON object: " + shortened(answer.line));
    const std::string_view value = line->find("value"), error = line->find("error");
    if (!value.empty()) {
      auto cell = json::text_to_value(call.result, value);
      if (!cell) return failed(fmt::format("the answer is no `{}`: {}", call.result.to_text(), shortened(value)));
      return out.push_value(call.result, *cell);
    }
    if (error.empty()) return failed("the answer has neither `value` nor `error`: " + shortened(answer.line));
    const auto message = json::text_to_value(Type(Kind::kStr), error);
    failed(message ? message->as_text() : std::string(error));
  }

  static std::string shortened(std::string_view text) {
    constexpr std::size_t kShown = 200;
    if (text.size() <= kShown) return std::string(text);
    std::size_t cut = kShown;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    return std::string(text.substr(0, cut)) + "…";
  }

  const std::vector<std::string> names_;
  const bool deterministic_;
  const bool propagate_none_;
  const RemoteOptions options_;
  const std::string text_;
  const std::unique_ptr<Transport> transport_;
  mutable CallThreads threads_;
  mutable AnswerCache cache_;
  const std::string identity_;
  std::shared_ptr<AnswerPlace> place_;  // null: answers do not outlive the process
  mutable std::mutex flights_mutex_;
  mutable std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;  // guarded by flights_mutex_
};

}  // namespace

plan::UserFunctionPtr make_remote(const plan::FunctionSpec& spec, const RemoteOptions& options,
                                  std::unique_ptr<Transport> transport, std::string text) {
  return std::make_shared<const RemoteFunction>(spec, options, std::move(transport), std::move(text));
}

}  // namespace thalweg::functions
