// llm/providers/usage.h
//
// What models were asked, and what it took: counted for the whole process by service and model, for metrics.
// Threads  any.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "llm/providers/protocol.h"

namespace thalweg::llm {

struct Tokens {
  std::uint64_t input = 0;
  std::uint64_t output = 0;
};

// What a reply says it took; nothing where it does not say.
[[nodiscard]] Tokens tokens_of(Service service, const Json& reply);
[[nodiscard]] std::string_view service_name(Service service);

// Dollars for a million tokens.
struct Price {
  double input = 0;
  double output = 0;
};

struct ModelUsage {
  std::string service;
  std::string model;
  std::uint64_t calls = 0;     // requests made, attempts again among them
  std::uint64_t failures = 0;  // of these: not answered, or refused
  std::uint64_t input_tokens = 0;
  std::uint64_t output_tokens = 0;
  std::uint64_t cache_hits = 0;  // questions that were answered without a request
  double dollars = 0;
};

// Of one model; lives as long as the process.
class UsageCounter {
 public:
  explicit UsageCounter(const Price& price) : price_(price) {}
  void asked(bool answered);
  void took(const Tokens& tokens);
  void hit(std::uint64_t questions) { cache_hits_ += questions; }
  void read(ModelUsage& out) const;

 private:
  const Price price_;
  std::atomic<std::uint64_t> calls_{0}, failures_{0}, input_{0}, output_{0}, cache_hits_{0};
};

// Before the first model is made; models by their names.
void set_prices(std::map<std::string, Price> prices);
[[nodiscard]] UsageCounter& usage_counter(Service service, const std::string& model);
[[nodiscard]] std::vector<ModelUsage> model_usage();  // by service and name

}  // namespace thalweg::llm
