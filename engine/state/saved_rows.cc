#include "engine/state/saved_rows.h"

#include <algorithm>

namespace thalweg {

std::vector<std::uint32_t> live_rows(const RowStore& rows) {
  std::vector<std::uint32_t> out;
  out.reserve(rows.size());
  for (std::uint32_t id = 0; id < rows.end(); ++id)
    if (rows.alive(id)) out.push_back(id);
  return out;
}

void put_chunk(const Batch& batch, StateWriter& out) {
  out.put_bool(true);
  out.put_batch(batch);
}
void end_chunks(StateWriter& out) { out.put_bool(false); }

void save_rows(const RowStore& rows, std::span<const std::uint32_t> ids, StateWriter& out, const ExtendChunk& extend) {
  for (std::size_t from = 0; from < ids.size(); from += kChunkRows) {
    std::span<const std::uint32_t> part = ids.subspan(from, std::min(kChunkRows, ids.size() - from));
    Batch batch = rows.gather(part);
    if (extend) extend(batch, part);
    put_chunk(batch, out);
  }
  end_chunks(out);
}

void save_rows(const RowStore& rows, StateWriter& out, const ExtendChunk& extend) {
  save_rows(rows, live_rows(rows), out, extend);
}

Result<void> load_chunks(StateReader& in, std::span<const Type> types, bool with_keys,
                         const std::function<Result<void>(Batch)>& take) {
  while (TRY(in.boolean())) {
    Batch batch = TRY(in.batch(types));
    if (with_keys == batch.keys.absent()) return in.corrupt("row keys where there should be none, or none");
    TRY(take(std::move(batch)));
  }
  return {};
}

}  // namespace thalweg
