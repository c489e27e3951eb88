#include "engine/runtime/exchange.h"

namespace thalweg {

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

}  // namespace thalweg
