// engine/operators/operator.h
//
// What an operator implements. Each worker has its own instance, which sees the rows of its shard.
//
//   one commit:   push(port, batch)*  close()          then the next commit
//   end of input: the last commit is an ordinary one with context.is_end(): buffers release in its close()
//   odd commit:   if any instance said wants_odd() after closing an even commit c, all nodes run commit c + 1:
//                 start_odd() on those that said so, push and close as always
//
// O1  Before close() an operator emits only rows that no later chunk of the commit can make wrong: paddings,
//     aggregates, lookups, clocks come at close. Chunks of a commit come in any order, -1 and +1 mixed.
// O2  What an operator has emitted after close() depends on the commits so far, not on how they were cut into chunks
//     or split among workers.
// O3  A row with diff < 0 reports no errors.
// Threads  one worker calls an instance; never two at once. No locks, no per-row virtual calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/env.h"
#include "engine/base/strong_id.h"
#include "engine/expr/program.h"
#include "engine/plan/node.h"
#include "engine/types/batch.h"

namespace thalweg {

using Commit = std::uint64_t;  // even: ordinary; odd: retractions by forgetting
inline constexpr Commit kEndCommit = 18446744073709551614ULL;

enum class ErrorKind : std::uint8_t { kValue, kSkipped, kRecord };

struct BadRecord;

struct DataError {
  ErrorKind kind = ErrorKind::kValue;
  std::string message;
  NodeId node;
  SourceSpan span;  // the expression or tag where it arose
  std::optional<Key> key;
  Commit commit = 0;
  std::shared_ptr<const BadRecord> record;  // of a source whose rejected records somebody reads
};

struct StateSize {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t late_rows = 0;    // dropped behind a cutoff, since the start
  std::uint64_t rounds = 0;       // of a loop: run since the start
  std::uint64_t last_rounds = 0;  // run in the last commit that changed anything
  std::uint64_t round_rows = 0;   // changes of variables that went into a next round, since the start
};

class OperatorContext {
 public:
  virtual ~OperatorContext() = default;
  // To every reader of this node. Chunks of up to kChunkRows rows; larger ones are cut.
  virtual void emit(Batch batch) = 0;
  [[nodiscard]] virtual Commit commit() const = 0;
  [[nodiscard]] virtual bool is_end() const = 0;
  // Logged (and counted); ends the run under terminate_on_error unless `kind` is kRecord.
  virtual void report(ErrorKind kind, std::string message, SourceSpan where, std::optional<Key> key) = 0;
  // Ends the run: what the user asserted does not hold.
  virtual void fail(Error error) = 0;
  [[nodiscard]] virtual Env& env() = 0;
  // Wall time of this commit, the same for all operators and workers under a test's clock.
  [[nodiscard]] virtual std::int64_t wall_ns() { return env().clock->wall_ns(); }
  [[nodiscard]] virtual WorkerId worker() const = 0;
  [[nodiscard]] virtual std::uint32_t num_workers() const = 0;
  // Combines a value among all workers within this commit (clock operators); all workers must call it, in close().
  [[nodiscard]] virtual std::vector<std::string> all_to_all(std::string mine) = 0;
  [[nodiscard]] virtual bool stopping() const = 0;
  // An answer that may be another when asked again becomes part of the commit, so that running it again gives the same.
  virtual void remember(std::string_view /*question*/, std::string_view /*answer*/) {}
  // The answer of then, if this commit is run again.
  [[nodiscard]] virtual std::optional<std::string> recall(const std::string& /*question*/) { return std::nullopt; }
  [[nodiscard]] virtual bool remembers() const { return false; }  // remember() keeps what it gets
};

// How the rows of a port must be spread over the workers.
struct Route {
  enum class By : std::uint8_t {
    kAny,      // stays where it is
    kKey,      // by row key
    kColumns,  // by hash of `columns`
    kPointer,  // by the pointer in columns[0], as if it were the key
    kOne,      // all to worker 0
    kAll,      // to every worker
  };
  By by = By::kAny;
  plan::Columns columns;
  friend bool operator==(const Route&, const Route&) = default;
};

[[nodiscard]] inline std::uint32_t worker_of_shard(std::uint32_t shard, std::uint32_t workers) {
  return shard * workers / kVirtualShards;
}

// The worker of every row of a chunk under a route (not kAny, kAll). `out` has one entry per row.
void route_rows(const Route& route, Batch& batch, std::uint32_t workers, std::vector<std::uint32_t>& out);

// Which rows of saved state a worker takes: those that would be sent to it.
class ShardFilter {
 public:
  ShardFilter() = default;  // all: there were as many workers when the state was saved, and this part is its own
  ShardFilter(WorkerId worker, std::uint32_t workers) : worker_(worker.value), workers_(workers) {}

  [[nodiscard]] bool takes_all() const { return workers_ == 0; }
  // What is routed to one worker, and what must be counted once of all that was saved (counters, clocks that any
  // worker may hold): worker 0 takes it.
  [[nodiscard]] bool takes_single() const { return takes_all() || worker_ == 0; }
  [[nodiscard]] bool takes_shard(std::uint32_t shard) const {
    return takes_all() || worker_of_shard(shard, workers_) == worker_;
  }
  [[nodiscard]] bool takes_key(const Key& key) const { return takes_shard(shard_of_key(key)); }
  // Of what is routed by columns: their hash, as Column::hash_into makes it.
  [[nodiscard]] bool takes_hash(std::uint64_t hash) const {
    return takes_shard(static_cast<std::uint32_t>(hash >> 56));
  }
  // The rows of a batch that this route sends here.
  [[nodiscard]] Batch select(const Route& route, Batch batch) const;
  [[nodiscard]] std::vector<std::uint32_t> rows_of(const Route& route, Batch& batch) const;
  // The same by pointers and hashes that lie apart.
  [[nodiscard]] std::vector<std::uint32_t> rows_of_keys(std::span<const Key> keys) const;
  [[nodiscard]] std::vector<std::uint32_t> rows_of_hashes(std::span<const std::uint64_t> hashes) const;

 private:
  std::uint32_t worker_ = 0;
  std::uint32_t workers_ = 0;
};

class StateReader;
class StateWriter;

// What joins of one worker hold together (state/join_family.h), by the node that names them (plan/rewrite/arrange.h).
class JoinFamily;
using JoinFamilies = std::map<NodeId, std::shared_ptr<JoinFamily>>;

class Operator {
 public:
  virtual ~Operator() = default;
  virtual void push(std::size_t port, Batch batch, OperatorContext& context) = 0;
  virtual void close(OperatorContext& /*context*/) {}
  [[nodiscard]] virtual bool wants_odd() const { return false; }
  virtual void start_odd(OperatorContext& /*context*/) {}
  [[nodiscard]] virtual StateSize state() const { return {}; }
  // Before the first rows, node by node in the order of the plan: takes part in what others of this worker hold, too.
  virtual void share(JoinFamilies& /*families*/) {}
  // Its run is over; what it shared may go on in another. Never called in a commit.
  virtual void retire() {}
  // Between commits: emits, as insertions, the net rows of all that it has emitted so far. False: it cannot tell.
  virtual bool replay(OperatorContext& /*context*/) { return false; }

  // Between commits (never between an even one and its odd one): all that later commits depend on. What can be
  // computed from it again is not written. An operator without state writes nothing, and its descriptor says so.
  virtual void save(StateWriter& /*out*/) const {}
  // Into an instance that has seen no rows: what save() wrote on one of the workers of then. Called once for each of
  // them, whose number may have been another; takes what `mine` says:
  //   rows that are routed by key, pointer or columns    those of its shards
  //   what is routed to one worker                       all on worker 0, nothing elsewhere (takes_single)
  //   what is sent to all workers                        all; every part is the same
  //   what lies where it came (kAny)                     must not be told apart by where it lies: takes_single
  // After an error the instance is of no use.
  virtual Result<void> load(StateReader& /*in*/, const ShardFilter& /*mine*/) { return {}; }
  // After the last part.
  virtual Result<void> finish_load() { return {}; }
};

struct OperatorDescriptor {
  std::string_view name;  // plan::operator_name
  std::vector<Route> (*routes)(const plan::Node&);
  // How the output is spread, if the inputs were routed as asked (kAny: nothing is known).
  Route (*output_route)(const plan::Node&);
  Result<std::unique_ptr<Operator>> (*make)(const plan::Node& node, const plan::Plan& plan);
  // Reads row keys of its inputs, or passes them to readers that do (`passes`).
  bool needs_keys = true;
  // Holds nothing from one commit to the next.
  bool stateless = false;
  // Of what save() writes; 0: it cannot be saved.
  std::uint32_t state_version = 0;
};

// By plan::operator_name; null for nodes that the runtime itself runs (sources, exports, outputs, error log).
[[nodiscard]] const OperatorDescriptor* find_operator(std::string_view name);

// Reports expression errors of rows with diff > 0 as this operator's value errors.
class ExpressionErrors : public expr::RowErrors {
 public:
  ExpressionErrors(const Batch& batch, OperatorContext& context) : batch_(batch), context_(context) {}
  void report(std::size_t row, SourceSpan where, std::string_view message) override;

 private:
  const Batch& batch_;
  OperatorContext& context_;
};

}  // namespace thalweg
