// The load of the Kafka word count: words at a fixed rate into one topic, the counts that come out of another matched
// to them.
//
//   load --brokers B --in T --out T --rate R --count N [--warm-up N] [--words W] [--wait SECONDS]
//
// Word i is due at start + i / rate, whatever came before (open loop), and its record's time is that. The n-th
// occurrence of a word is answered by the first output of at least n; its latency is the difference of the records'
// times. Prints one line of JSON. The output is `word,count,time,diff`.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using Clock = std::chrono::system_clock;

struct Options {
  std::map<std::string, std::string> given;
  [[nodiscard]] std::string text(const std::string& name, const std::string& fallback = "") const {
    const auto found = given.find(name);
    return found == given.end() ? fallback : found->second;
  }
  [[nodiscard]] std::int64_t number(const std::string& name, std::int64_t fallback) const {
    const std::string value = text(name);
    return value.empty() ? fallback : std::atoll(value.c_str());
  }
};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "load: %s\n", why.c_str());
  std::exit(1);
}

rd_kafka_t* client(rd_kafka_type_t type, std::map<std::string, std::string> settings) {
  char why[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : settings)
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK) die(why);
  rd_kafka_t* out = rd_kafka_new(type, conf, why, sizeof why);
  if (out == nullptr) die(why);
  return out;
}

std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

std::vector<std::string> dictionary(std::size_t size) {
  std::uint64_t state = 42;
  std::vector<std::string> out;
  std::unordered_map<std::string, bool> seen;
  while (out.size() < size) {
    std::string word;
    for (int i = 0; i < 7; ++i) word += static_cast<char>('a' + splitmix(state) % 26);
    if (seen.emplace(word, true).second) out.push_back(word);
  }
  return out;
}

// What is asked and what is answered, by word.
class Matching {
 public:
  explicit Matching(const std::vector<std::string>& words) : asked_(words.size()), answered_(words.size()) {
    for (std::size_t i = 0; i < words.size(); ++i) index_.emplace(words[i], i);
  }
  void ask(std::size_t word, std::int64_t due_ms, bool measured) {
    const std::lock_guard lock(mutex_);
    asked_[word].push_back({due_ms, measured});
    ++left_;
  }
  void answer(std::string_view word, std::size_t count, std::int64_t at_ms) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(std::string(word));
    if (found == index_.end()) die("an output of a word that was never sent: " + std::string(word));
    auto& asked = asked_[found->second];
    auto& answered = answered_[found->second];
    if (count > asked.size()) die("a count beyond what was sent: " + std::string(word));
    for (; answered < count; ++answered, --left_)
      if (asked[answered].measured) latencies_.push_back(at_ms - asked[answered].due_ms);
  }
  [[nodiscard]] std::size_t left() {
    const std::lock_guard lock(mutex_);
    return left_;
  }
  std::vector<std::int64_t> latencies() {
    const std::lock_guard lock(mutex_);
    return latencies_;
  }

 private:
  struct Asked {
    std::int64_t due_ms;
    bool measured;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<std::vector<Asked>> asked_;
  std::vector<std::size_t> answered_;
  std::size_t left_ = 0;
  std::vector<std::int64_t> latencies_;
};

void take_output(const rd_kafka_message_t& message, Matching& matching) {
  const std::string_view text(static_cast<const char*>(message.payload), message.len);
  rd_kafka_timestamp_type_t type{};
  const std::int64_t at_ms = rd_kafka_message_timestamp(&message, &type);
  std::string_view cells[4];
  std::string_view rest = text;
  for (std::string_view& cell : cells) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    cell = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  for (std::string_view& cell : cells)
    if (cell.starts_with('"') && cell.size() >= 2) cell = cell.substr(1, cell.size() - 2);
  if (cells[3] != "1") return;  // a deletion, or the peer's line of column names
  std::size_t count = 0;
  std::from_chars(cells[1].data(), cells[1].data() + cells[1].size(), count);
  matching.answer(cells[0], count, at_ms);
}

void consume(const Options& options, Matching& matching, const std::atomic<bool>& stop) {
  rd_kafka_t* reader = client(RD_KAFKA_CONSUMER, {{"bootstrap.servers", options.text("brokers")},
                                                  {"group.id", "load"},
                                                  {"enable.auto.commit", "false"},
                                                  {"queued.min.messages", "300000"}});
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, options.text("out").c_str(), 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(reader, list);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(reader);
  std::vector<rd_kafka_message_t*> messages(8192);
  while (!stop) {
    messages[0] = rd_kafka_consume_queue(queue, 50);
    if (messages[0] == nullptr) continue;
    const auto more = rd_kafka_consume_batch_queue(queue, 0, messages.data() + 1, messages.size() - 1);
    for (std::size_t i = 0; i < 1 + static_cast<std::size_t>(std::max<ssize_t>(more, 0)); ++i) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) take_output(*messages[i], matching);
      rd_kafka_message_destroy(messages[i]);
    }
  }
  rd_kafka_queue_destroy(queue);
  rd_kafka_consumer_close(reader);
  rd_kafka_destroy(reader);
}

// Sends `count` words at `rate`; returns how long it took.
double send(rd_kafka_t* writer, rd_kafka_topic_t* topic, const std::vector<std::string>& words, std::int64_t count,
            std::int64_t rate, std::uint64_t seed, bool measured, Matching& matching) {
  const auto start = Clock::now();
  const std::int64_t start_ms = now_ms();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t due_us = i * 1'000'000 / rate;
    if (i % 64 == 0) {
      std::this_thread::sleep_until(start + std::chrono::microseconds(due_us));
      rd_kafka_poll(writer, 0);
    }
    const std::size_t word = splitmix(seed) % words.size();
    const std::int64_t due_ms = start_ms + due_us / 1000;
    matching.ask(word, due_ms, measured);
    const std::string text = R"({"word": ")" + words[word] + "\"}";
    while (rd_kafka_producev(writer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(0),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE(const_cast<char*>(text.data()), text.size()),
                             RD_KAFKA_V_TIMESTAMP(due_ms), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
      rd_kafka_poll(writer, 10);
  }
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) options.given[std::string(argv[i]).substr(2)] = argv[i + 1];
  const std::int64_t rate = options.number("rate", 100'000);
  const std::int64_t count = options.number("count", 1'000'000);
  const std::int64_t warm_up = options.number("warm-up", 0);
  const std::vector<std::string> words = dictionary(static_cast<std::size_t>(options.number("words", 5000)));
  Matching matching(words);
  std::atomic<bool> stop{false};
  std::thread reader([&] { consume(options, matching, stop); });
  rd_kafka_t* writer = client(RD_KAFKA_PRODUCER, {{"bootstrap.servers", options.text("brokers")},
                                                  {"linger.ms", "5"},
                                                  {"delivery.report.only.error", "true"},
                                                  {"queue.buffering.max.messages", "2000000"}});
  rd_kafka_topic_t* topic = rd_kafka_topic_new(writer, options.text("in").c_str(), nullptr);
  const auto wait = [&](std::int64_t seconds) {
    const std::int64_t end = now_ms() + seconds * 1000;
    while (matching.left() > 0 && now_ms() < end) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  const std::int64_t patience = options.number("wait", 60);
  send(writer, topic, words, 1, rate, 7, false, matching);
  wait(patience);
  if (matching.left() > 0) die("no answer to the first word");
  send(writer, topic, words, warm_up, rate, 1, false, matching);
  rd_kafka_flush(writer, 10'000);
  wait(patience);
  std::printf("{\"event\": \"measuring\"}\n");
  std::fflush(stdout);
  const auto start = Clock::now();
  const double sending = send(writer, topic, words, count, rate, 2, true, matching);
  rd_kafka_flush(writer, 60'000);
  wait(patience);
  const double all = std::chrono::duration<double>(Clock::now() - start).count();
  const std::size_t left = matching.left();
  stop = true;
  reader.join();
  std::vector<std::int64_t> latencies = matching.latencies();
  std::sort(latencies.begin(), latencies.end());
  const auto quantile = [&](double q) -> long {
    if (latencies.empty()) return -1;
    return static_cast<long>(latencies[static_cast<std::size_t>(q * static_cast<double>(latencies.size() - 1))]);
  };
  std::printf(
      "{\"event\": \"done\", \"sent\": %lld, \"sending_s\": %.3f, \"all_s\": %.3f, \"unanswered\": %zu, "
      "\"p50_ms\": %ld, \"p95_ms\": %ld, \"p99_ms\": %ld, \"max_ms\": %ld}\n",
      static_cast<long long>(count), sending, all, left, quantile(0.5), quantile(0.95), quantile(0.99), quantile(1));
  std::fflush(stdout);
  std::_Exit(left == 0 ? 0 : 1);  // whatever the writer still holds does not matter
}
