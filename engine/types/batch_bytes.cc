#include "engine/types/batch_bytes.h"

namespace thalweg {

std::uint64_t bytes_of(const Batch& batch) {
  std::uint64_t bytes = batch.num_rows * (sizeof(Key) + sizeof(Diff));
  for (const Column& column : batch.columns) {
    bytes += column.size() * phys_bytes(column.phys());
    if (column.phys() != Phys::kView) continue;
    Cells<StrView> views = column.views();
    for (std::size_t i = 0; i < column.size(); ++i)
      if (!views[i].is_inline()) bytes += views[i].size();
  }
  return bytes;
}

}  // namespace thalweg
