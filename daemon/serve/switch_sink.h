// daemon/serve/switch_sink.h
//
// A sink that outlives the plan which writes to it. It knows what its output holds, so that a new plan can prepare
// beside the old one and then write the difference only.
//
//   live: writes go through            held: writes are kept, nothing is opened
//
// SW1  What reaches the outside is, commit by commit, what one plan after the other would show: at the switch exactly
//      new - old.
// SW2  Contents beyond the budget are forgotten (known() is false): then only "from now on" is possible.
// Threads  the sink's thread; the switching functions only while the run is paused or over.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/connectors.h"
#include "engine/io/sink.h"
#include "engine/plan/node.h"

namespace thalweg::daemon {

// The net rows of an output, with their keys.
class OutputContents {
 public:
  explicit OutputContents(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  void add(const Batch& batch);
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] std::uint64_t num_rows() const { return rows_; }
  // What leads from `old` to this: deletions first.
  [[nodiscard]] Batch difference_from(const OutputContents& old) const;

 private:
  void compact();
  std::uint64_t bytes_max_;
  bool known_ = true;
  std::vector<Batch> parts_;
  std::uint64_t rows_ = 0;
  std::uint64_t rows_compacted_ = 0;
};

class SwitchSink : public Sink {
 public:
  // `env`: what `inner` was made with and is opened with. It goes where the sink goes: that of a run ends with the run.
  SwitchSink(std::shared_ptr<Env> env, std::unique_ptr<Sink> inner, bool held, std::uint64_t bytes_max)
      : env_(std::move(env)),
        inner_(std::move(inner)),
        held_(held),
        contents_(bytes_max),
        discards_(inner_->discards()) {}

  // Held: nothing is opened yet, unless `open_early`, which lets a failure come before anything is switched.
  void open_early() { early_ = true; }
  Result<void> open(const SinkContext& context) override;
  Result<void> begin(std::uint64_t commit) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;
  [[nodiscard]] bool discards() const override { return discards_; }
  [[nodiscard]] std::optional<std::uint64_t> last_commit() const override { return inner_->last_commit(); }
  Result<std::string> save() override { return inner_->save(); }
  [[nodiscard]] bool saves() const override { return inner_->saves(); }
  [[nodiscard]] Delivery delivery() const override { return inner_->delivery(); }
  [[nodiscard]] std::uint64_t bytes_written() const override { return inner_->bytes_written(); }

  // ---- the switch
  [[nodiscard]] const OutputContents& contents() const { return contents_; }
  [[nodiscard]] bool held() const { return held_; }
  // Opens the sink and writes all that was held.
  Result<void> go_live(std::uint64_t commit);
  // Takes the open sink of `old` over and writes the difference (nothing if the contents are not known).
  Result<void> take_over(SwitchSink& old, std::uint64_t commit);
  // Closes it in order, if it is open and still here; what is written afterwards is dropped.
  Result<void> finish();

 private:
  // The sink that has the output at the moment: rejections are its own.
  struct Owner {
    std::atomic<SwitchSink*> now;
  };
  [[nodiscard]] SinkContext context_for_inner();
  void reject(const Batch& batch, std::size_t row, Rejection why);
  Result<void> write_commit(std::uint64_t commit, const Batch& batch);
  std::shared_ptr<Env> env_;  // outlives inner_
  std::unique_ptr<Sink> inner_;
  SinkContext context_;
  std::shared_ptr<Owner> owner_;
  bool held_;
  bool early_ = false;
  bool opened_ = false;
  OutputContents contents_;
  const bool discards_;
};

// Makes sinks as SwitchSinks and keeps track of them; sources as they are.
class SwitchFactory : public ConnectorFactory {
 public:
  SwitchFactory(ConnectorFactory& connectors, bool held, std::uint64_t bytes_max)
      : connectors_(connectors), held_(held), bytes_max_(bytes_max) {}
  Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env& env) override {
    return connectors_.make_source(source, env);
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output& output, const Schema& schema, Env& env) override;

  // Outputs that are none of these are opened early.
  void open_early_except(std::vector<std::string> identities) { late_ = std::move(identities); }

  struct Made {
    std::string identity;  // connector, arguments, columns: what makes two outputs the same
    std::string name;
    std::string connector;
    SwitchSink* sink = nullptr;  // owned by the run
    bool kept = false;           // moved over as it was
  };
  [[nodiscard]] const std::vector<Made>& sinks() const { return sinks_; }
  // One that another run made and this one goes on with.
  void keep(Made made) {
    made.kept = true;
    sinks_.push_back(std::move(made));
  }

 private:
  ConnectorFactory& connectors_;
  const bool held_;
  const std::uint64_t bytes_max_;
  std::optional<std::vector<std::string>> late_;
  std::vector<Made> sinks_;
};

// The same for a plan that does not run yet.
[[nodiscard]] std::string output_identity(const plan::Output& output, const Schema& schema);

}  // namespace thalweg::daemon
