// engine/state/saved_rows.h
//
// The rows of a store in an archive: batches of kChunkRows with whatever columns their owner keeps beside them.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/state/archive.h"
#include "engine/state/row_store.h"

namespace thalweg {

// In the order of their numbers.
[[nodiscard]] std::vector<std::uint32_t> live_rows(const RowStore& rows);

// Calls extend(batch, ids) for every chunk, to append columns or set diffs.
using ExtendChunk = std::function<void(Batch&, std::span<const std::uint32_t>)>;
void save_rows(const RowStore& rows, std::span<const std::uint32_t> ids, StateWriter& out,
               const ExtendChunk& extend = {});
// All that live.
void save_rows(const RowStore& rows, StateWriter& out, const ExtendChunk& extend = {});

// Batches one after another: put_chunk for each, then end_chunks.
void put_chunk(const Batch& batch, StateWriter& out);
void end_chunks(StateWriter& out);
// What either wrote, chunk by chunk. `types`: of all columns, those beside the rows included.
Result<void> load_chunks(StateReader& in, std::span<const Type> types, bool with_keys,
                         const std::function<Result<void>(Batch)>& take);

[[nodiscard]] inline std::vector<const Column*> pointers_to(const Batch& batch) {
  std::vector<const Column*> out;
  out.reserve(batch.columns.size());
  for (const Column& column : batch.columns) out.push_back(&column);
  return out;
}

// A batch without its last `n` columns.
[[nodiscard]] inline Batch without_last(Batch batch, std::size_t n) {
  batch.columns.resize(batch.columns.size() - n);
  return batch;
}
[[nodiscard]] inline std::vector<Type> with_types(std::vector<Type> types, std::initializer_list<Type> more) {
  types.insert(types.end(), more);
  return types;
}

}  // namespace thalweg
