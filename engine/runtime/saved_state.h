// engine/runtime/saved_state.h
//
// What a run holds between two commits, as parts: one for each stateful node and worker. Who keeps parts (memory,
// files) decides where their bytes go and come from.
//
//   run that is paused  ── save_state ──▶  parts  ── RunOptions::restore ──▶  a run of the same plan, any workers
//
// S1  A run that is restored emits, commit by commit, what the saved one would have emitted from there on.
// S2  A part is found by what its node computes (plan/fingerprint.h) and, among equal nodes, by their order. Nodes
//     without a part, and parts without a node, are an error: nothing is guessed.
#pragma once

#include <array>
#include <compare>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/runtime/run.h"
#include "engine/state/archive.h"

namespace thalweg {

struct PartName {
  Key node;                      // its fingerprint
  std::uint32_t occurrence = 0;  // among nodes of this fingerprint
  std::uint32_t worker = 0;      // that saved it
  friend auto operator<=>(const PartName&, const PartName&) = default;
};

struct SavedPart {
  PartName name;
  std::uint64_t bytes = 0;
  std::function<StateReader::Pull()> open;  // from its beginning; called on several threads
};

struct SavedRun {
  Frontier frontier;  // everything below it is in the parts
  std::uint32_t workers = 1;
  std::uint64_t commits = 0;
  std::array<std::uint64_t, 3> errors{};  // so far, by kind
  Commit test_time = 0;                   // of the newest commit with input
  std::vector<SavedPart> parts;
};

// Where the pieces of a part go, in order. Called on several threads, for different parts.
using PartSink = std::function<StateWriter::Sink(const PartName&)>;

// Parts in memory.
class MemoryParts {
 public:
  MemoryParts();
  [[nodiscard]] PartSink sink();
  // Sets `open` of every part. Requires: all of it was written.
  void open_in(SavedRun& run) const;

 private:
  struct Store;
  std::shared_ptr<Store> store_;
};

// What the state of a node looks like beyond what it computes: types, and which columns and keys somebody reads.
[[nodiscard]] Key state_fingerprint(const plan::Plan& plan, NodeId node);
// By node: its place among the nodes of its fingerprint.
[[nodiscard]] std::vector<std::uint32_t> occurrences(const std::vector<Key>& fingerprints);

}  // namespace thalweg
