#include "engine/operators/temporal/clocks.h"

#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

void add_once(std::uint32_t instance, std::vector<std::uint32_t>& to) {
  if (std::ranges::find(to, instance) == to.end()) to.push_back(instance);
}

}  // namespace

void Clocks::save(StateWriter& out, std::span<const std::uint32_t> marked) const {
  if (global_) {
    out.put_i64(now(0));
    return out.put_bool(!marked.empty());
  }
  std::vector<std::uint8_t> is_marked(now_.size());
  for (std::uint32_t instance : marked) is_marked[instance] = 1;
  save_rows(ids_.cells(), out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
    ColumnBuilder times(Phys::kI64, ids.size()), marks(Phys::kU8, ids.size());
    for (std::uint32_t id : ids) {
      times.push_int(now(id));
      marks.push_bool(id < is_marked.size() && is_marked[id] != 0);
    }
    batch.columns.push_back(times.finish());
    batch.columns.push_back(marks.finish());
  });
}

Result<void> Clocks::load(StateReader& in, const ShardFilter& mine, std::vector<std::uint32_t>& marked) {
  if (global_) {
    std::int64_t time = TRY(in.i64());
    if (time != kNever) set(0, time);
    if (TRY(in.boolean())) add_once(0, marked);
    return {};
  }
  plan::Columns columns;
  for (std::uint32_t c = 0; c < ids_.cells().types().size(); ++c) columns.push_back(c);
  std::vector<Type> types = with_types(ids_.cells().types(), {Kind::kInt, Kind::kBool});
  return load_chunks(in, types, false, [&](Batch batch) -> Result<void> {
    batch = mine.select({Route::By::kColumns, columns}, std::move(batch));
    std::vector<std::uint32_t> of_row;
    instances(batch, columns, of_row);
    for (std::size_t row = 0; row < batch.num_rows; ++row) {
      set(of_row[row], batch.columns[columns.size()].i64()[row]);
      if (batch.columns[columns.size() + 1].u8()[row] != 0) marked.push_back(of_row[row]);
    }
    return {};
  });
}

}  // namespace thalweg::operators
