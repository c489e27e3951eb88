// engine/operators/upsert_events.h
//
// The records of one commit that replace by key, in the order in which they came, with the marks of
// engine/io/upsert_marks.h.
#pragma once

#include <array>
#include <optional>

#include "engine/state/keyed_rows.h"
#include "engine/types/batch.h"

namespace thalweg::operators {

// Which shards were cleared, and since which record.
class ClearedShards {
 public:
  explicit ClearedShards(const Batch& events);
  [[nodiscard]] bool any() const { return since_.has_value(); }
  [[nodiscard]] bool covers(const Key& key) const { return since_ && (*since_)[shard_of_key(key)] > 0; }
  // The record counts: it is no mark, and came after the last one of its shard.
  [[nodiscard]] bool counts(const Batch& events, std::uint32_t row) const {
    return !since_ || row >= (*since_)[shard_of_key(events.keys[row])];
  }

 private:
  std::optional<std::array<std::uint32_t, kVirtualShards>> since_;  // the row behind the mark; 0: none
};

// The same records without cells that are "as before": each has the value that its key's row had, ERROR where there was
// no row.
[[nodiscard]] Batch without_unchanged(Batch events, const ClearedShards& cleared, const KeyedRows& rows);

}  // namespace thalweg::operators
