// connectors/functions/remote_function.h
//
// A function that runs outside: rows become lines of JSON, answers come back as lines of JSON, in order.
//
//   asked     {"a": 1, "b": "x"} where the arguments have names, else [1, "x"]
//   answered  {"value": …}, or {"error": "why"}, which makes the row an ERROR
//
// R1  Calls of one batch of rows are under way at once, up to the capacity, which all workers share.
// R2  With a cache, and for deterministic functions, equal questions are asked once; with a cache also those that are
//     on their way for another worker.
//     Where the pipeline keeps its state the cache does, too (answer_store.h).
// R3  What is asked again is a call that did not come through; an answer that says `error` is an answer.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "connectors/functions/remote_options.h"
#include "connectors/net/address_policy.h"
#include "engine/plan/user_function.h"

namespace thalweg::functions {

// Why a call did not come through.
struct Refusal {
  std::string message;
  bool again = true;          // another attempt may help
  std::int64_t after_ms = 0;  // the other side asked to wait so long
};

// Several calls may be made at once.
class Transport {
 public:
  virtual ~Transport() = default;
  // One answer per line, in order.
  [[nodiscard]] virtual std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines,
                                                                                  std::int64_t timeout_ms) = 0;
  // What a line asks, as caches compare it: who asks, and how it is answered, may be no part of it.
  [[nodiscard]] virtual std::string question_of(const std::string& line) const { return line; }
  // Whom it asks, and with which parameters: answers that are kept belong to that. Empty: to all that the function's
  // text says.
  [[nodiscard]] virtual std::string identity() const { return {}; }
  // So many questions were answered from the cache, without a call.
  virtual void answered_from_cache(std::size_t /*questions*/) {}
};

[[nodiscard]] plan::UserFunctionPtr make_remote(const plan::FunctionSpec& spec, const RemoteOptions& options,
                                                std::unique_ptr<Transport> transport, std::string text);

[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_exec(const plan::FunctionSpec& spec,
                                                                                  std::string text);
[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_http(
    const plan::FunctionSpec& spec, std::string text, std::shared_ptr<const net::AddressPolicy> egress);

}  // namespace thalweg::functions
