// tests/bench/benchgen.cc
//
// Inputs of the benchmarks, the same bytes on every machine for the same options; and a spin loop that tells how many
// real cores there are.
//
//   benchgen words  --rows N [--keys 5000] [--seed 1] [--zipf]   {"word": "qwertyu"} per line
//   benchgen cells  --rows N [--seed 1]                          csv k,name,value,flag
//   benchgen orders --rows N --keys M [--seed 1]                 csv order_id,customer_id,amount
//   benchgen customers --rows M [--seed 1]                       csv customer_id,region
//   benchgen events --rows N --keys K [--late PERCENT] [--seed 1]  csv k,t,v; one event a key and unit of time on
//   average benchgen spin   --threads N --seconds S                      prints loops per second of all threads
//   together
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

struct Options {
  std::string workload;
  std::uint64_t rows = 1000;
  std::uint64_t keys = 5000;
  std::uint64_t seed = 1;
  std::uint64_t late = 0;
  unsigned threads = 1;
  double seconds = 1;
  bool zipf = false;
};

std::string word(std::uint64_t index) {
  SplitMix random(index * 7919 + 17);
  std::string out;
  for (int i = 0; i < 7; ++i) out += static_cast<char>('a' + random.below(26));
  return out;
}

// Ranks with weight 1/rank^0.99, by the inverse of the continuous distribution.
std::uint64_t zipf_rank(SplitMix& random, std::uint64_t keys) {
  constexpr double kExponent = 0.01;  // 1 - 0.99
  const double top = std::pow(static_cast<double>(keys), kExponent);
  const double rank = std::pow(1 + random.unit() * (top - 1), 1 / kExponent);
  const auto index = static_cast<std::uint64_t>(rank) - 1;
  return index < keys ? index : keys - 1;
}

void words(const Options& options) {
  SplitMix random(options.seed);
  std::vector<std::string> lines;
  for (std::uint64_t i = 0; i < options.keys; ++i) lines.push_back("{\"word\": \"" + word(i) + "\"}\n");
  for (std::uint64_t i = 0; i < options.rows; ++i) {
    const std::string& line = lines[options.zipf ? zipf_rank(random, options.keys) : random.below(options.keys)];
    std::fwrite(line.data(), 1, line.size(), stdout);
  }
}

void cells(const Options& options) {
  SplitMix random(options.seed);
  std::puts("k,name,value,flag");
  for (std::uint64_t i = 0; i < options.rows; ++i)
    std::printf("%llu,name%llu,%.4f,%s\n", static_cast<unsigned long long>(i),
                static_cast<unsigned long long>(random.below(10007)), random.unit() * 100,
                random.below(2) != 0 ? "true" : "false");
}

void orders(const Options& options) {
  SplitMix random(options.seed);
  std::puts("order_id,customer_id,amount");
  for (std::uint64_t i = 0; i < options.rows; ++i)
    std::printf("%llu,%llu,%llu\n", static_cast<unsigned long long>(i),
                static_cast<unsigned long long>(random.below(options.keys)),
                static_cast<unsigned long long>(1 + random.below(1000)));
}

void customers(const Options& options) {
  SplitMix random(options.seed + 1);
  std::puts("customer_id,region");
  for (std::uint64_t i = 0; i < options.rows; ++i)
    std::printf("%llu,region%02llu\n", static_cast<unsigned long long>(i),
                static_cast<unsigned long long>(random.below(50)));
}

// Times rise; those that are late are up to 200 units old. Keys have pauses, so that sessions end.
void events(const Options& options) {
  SplitMix random(options.seed);
  std::puts("k,t,v");
  for (std::uint64_t i = 0; i < options.rows; ++i) {
    std::uint64_t time = i / options.keys;
    if (random.below(100) < options.late) time -= std::min(time, 1 + random.below(200));
    std::printf("%llu,%llu,%llu\n", static_cast<unsigned long long>(random.below(options.keys)),
                static_cast<unsigned long long>(time), static_cast<unsigned long long>(random.below(1000)));
  }
}

void spin(const Options& options) {
  std::vector<std::uint64_t> loops(options.threads * 16);  // a cache line apart
  std::vector<std::thread> threads;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.seconds);
  for (unsigned t = 0; t < options.threads; ++t)
    threads.emplace_back([&, t] {
      SplitMix random(t);
      std::uint64_t sum = 0, done = 0;
      while (std::chrono::steady_clock::now() < end)
        for (int i = 0; i < 100'000; ++i, ++done) sum += random.next();
      loops[t * 16] = done + (sum == 1 ? 1 : 0);
    });
  for (std::thread& thread : threads) thread.join();
  std::uint64_t total = 0;
  for (unsigned t = 0; t < options.threads; ++t) total += loops[t * 16];
  std::printf("%.0f\n", static_cast<double>(total) / options.seconds);
}

int usage() {
  std::fputs(
      "usage: benchgen words|cells|orders|customers|events|spin [--rows N] [--keys N] [--seed N] [--zipf] [--late "
      "PERCENT] "
      "[--threads N] [--seconds S]\n",
      stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return usage();
  Options options;
  options.workload = argv[1];
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--zipf") {
      options.zipf = true;
      continue;
    }
    if (i + 1 == argc) return usage();
    const char* value = argv[++i];
    if (name == "--rows")
      options.rows = std::strtoull(value, nullptr, 10);
    else if (name == "--keys")
      options.keys = std::strtoull(value, nullptr, 10);
    else if (name == "--seed")
      options.seed = std::strtoull(value, nullptr, 10);
    else if (name == "--late")
      options.late = std::strtoull(value, nullptr, 10);
    else if (name == "--threads")
      options.threads = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    else if (name == "--seconds")
      options.seconds = std::strtod(value, nullptr);
    else
      return usage();
  }
  static char buffer[1 << 20];
  std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  if (options.workload == "words")
    words(options);
  else if (options.workload == "cells")
    cells(options);
  else if (options.workload == "orders")
    orders(options);
  else if (options.workload == "customers")
    customers(options);
  else if (options.workload == "events")
    events(options);
  else if (options.workload == "spin")
    spin(options);
  else
    return usage();
  return 0;
}
