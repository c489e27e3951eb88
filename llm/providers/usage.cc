#include "llm/providers/usage.h"

#include <memory>
#include <mutex>

namespace thalweg::llm {

namespace {

// The counters of the process.
struct Book {
  std::mutex mutex;
  std::map<std::string, Price> prices;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<UsageCounter>> counters;
};

Book& book() {
  static Book the_book;
  return the_book;
}

std::uint64_t number_at(const Json& object, const char* name) {
  if (!object.is_object() || !object.contains(name) || !object[name].is_number()) return 0;
  const double value = object[name].get<double>();
  return value > 0 && value < 1e15 ? static_cast<std::uint64_t>(value) : 0;
}

const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  return object.is_object() && object.contains(name) ? object[name] : kNone;
}

}  // namespace

Tokens tokens_of(Service service, const Json& reply) {
  switch (service) {
    case Service::kOpenAi:
    case Service::kAzure: {
      const Json& usage = member(reply, "usage");
      return {number_at(usage, "prompt_tokens"), number_at(usage, "completion_tokens")};
    }
    case Service::kAnthropic: {
      const Json& usage = member(reply, "usage");
      return {number_at(usage, "input_tokens"), number_at(usage, "output_tokens")};
    }
    case Service::kCohere: {
      const Json& meta = member(reply, "meta");
      const Json& units = member(meta, "billed_units");
      const Json& usage = units.is_null() ? member(member(reply, "usage"), "billed_units") : units;
      return {number_at(usage, "input_tokens"), number_at(usage, "output_tokens")};
    }
    case Service::kGemini: {
      const Json& usage = member(reply, "usageMetadata");
      return {number_at(usage, "promptTokenCount"), number_at(usage, "candidatesTokenCount")};
    }
    case Service::kOllama: return {number_at(reply, "prompt_eval_count"), number_at(reply, "eval_count")};
    case Service::kBedrock: {
      const Json& usage = member(reply, "usage");
      return {number_at(usage, "inputTokens"), number_at(usage, "outputTokens")};
    }
    case Service::kCustom:
    case Service::kTei: return {};
  }
  return {};
}

std::string_view service_name(Service service) {
  switch (service) {
    case Service::kOpenAi: return "openai";
    case Service::kAzure: return "azure";
    case Service::kAnthropic: return "anthropic";
    case Service::kCohere: return "cohere";
    case Service::kGemini: return "gemini";
    case Service::kOllama: return "ollama";
    case Service::kTei: return "huggingface";
    case Service::kBedrock: return "bedrock";
    case Service::kCustom: return "custom";
  }
  return "openai";
}

void UsageCounter::asked(bool answered) {
  ++calls_;
  if (!answered) ++failures_;
}

void UsageCounter::took(const Tokens& tokens) {
  input_ += tokens.input;
  output_ += tokens.output;
}

void UsageCounter::read(ModelUsage& out) const {
  out.calls = calls_;
  out.failures = failures_;
  out.input_tokens = input_;
  out.output_tokens = output_;
  out.cache_hits = cache_hits_;
  out.dollars =
      (static_cast<double>(out.input_tokens) * price_.input + static_cast<double>(out.output_tokens) * price_.output) /
      1e6;
}

void set_prices(std::map<std::string, Price> prices) {
  std::lock_guard lock(book().mutex);
  book().prices = std::move(prices);
}

UsageCounter& usage_counter(Service service, const std::string& model) {
  std::lock_guard lock(book().mutex);
  auto [at, fresh] = book().counters.try_emplace({std::string(service_name(service)), model}, nullptr);
  if (fresh) {
    auto price = book().prices.find(model);
    at->second = std::make_unique<UsageCounter>(price == book().prices.end() ? Price{} : price->second);
  }
  return *at->second;
}

std::vector<ModelUsage> model_usage() {
  std::vector<ModelUsage> out;
  std::lock_guard lock(book().mutex);
  for (const auto& [name, counter] : book().counters) {
    ModelUsage one{.service = name.first, .model = name.second};
    counter->read(one);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace thalweg::llm
