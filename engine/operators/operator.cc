#include "engine/operators/operator.h"

namespace thalweg {

void ExpressionErrors::report(std::size_t row, SourceSpan where, std::string_view message) {
  if (batch_.diff(row) < 0) return;
  std::optional<Key> key;
  if (batch_.keys.written()) key = batch_.keys[row];
  context_.report(ErrorKind::kValue, std::string(message), where, key);
}

void route_rows(const Route& route, Batch& batch, std::uint32_t workers, std::vector<std::uint32_t>& out) {
  out.assign(batch.num_rows, 0);
  switch (route.by) {
    case Route::By::kAny:
    case Route::By::kAll:
    case Route::By::kOne: return;
    case Route::By::kKey:
      batch.materialise_keys();
      for (std::size_t i = 0; i < batch.num_rows; ++i) out[i] = worker_of_shard(shard_of_key(batch.keys[i]), workers);
      return;
    case Route::By::kPointer: {
      const Column& column = batch.columns[route.columns[0]];
      Cells<Key> keys = column.u128();
      for (std::size_t i = 0; i < batch.num_rows; ++i)
        if (column.is_value(i)) out[i] = worker_of_shard(shard_of_key(keys[i]), workers);
      return;
    }
    case Route::By::kColumns: {
      std::vector<std::uint64_t> hashes(batch.num_rows, 0);
      for (std::uint32_t column : route.columns) batch.columns[column].hash_into(hashes);
      for (std::size_t i = 0; i < batch.num_rows; ++i)
        out[i] = worker_of_shard(static_cast<std::uint32_t>(hashes[i] >> 56), workers);
      return;
    }
  }
}

Batch ShardFilter::select(const Route& route, Batch batch) const {
  if (takes_all() || route.by == Route::By::kAll) return batch;
  std::vector<std::uint32_t> mine = rows_of(route, batch);
  return mine.size() == batch.num_rows ? batch : batch.gather(mine);
}

std::vector<std::uint32_t> ShardFilter::rows_of(const Route& route, Batch& batch) const {
  bool all = takes_all() || route.by == Route::By::kAll;
  std::vector<std::uint32_t> targets;
  if (!all) route_rows(route, batch, workers_, targets);
  std::vector<std::uint32_t> mine;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row)
    if (all || targets[row] == worker_) mine.push_back(row);
  return mine;
}

std::vector<std::uint32_t> ShardFilter::rows_of_keys(std::span<const Key> keys) const {
  std::vector<std::uint32_t> mine;
  for (std::uint32_t row = 0; row < keys.size(); ++row)
    if (takes_key(keys[row])) mine.push_back(row);
  return mine;
}

std::vector<std::uint32_t> ShardFilter::rows_of_hashes(std::span<const std::uint64_t> hashes) const {
  std::vector<std::uint32_t> mine;
  for (std::uint32_t row = 0; row < hashes.size(); ++row)
    if (takes_hash(hashes[row])) mine.push_back(row);
  return mine;
}

}  // namespace thalweg
