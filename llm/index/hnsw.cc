#include "llm/index/hnsw.h"

#include <algorithm>

#include "llm/index/best.h"
#include "llm/index/saved_numbers.h"

namespace thalweg::llm {

Hnsw::Hnsw(const Options& options)
    : options_(options), rows_(options.metric, options.dimensions), graph_(rows_, options.shape) {}

Result<void> Hnsw::add(std::uint32_t slot, std::span<const plan::IndexCell> cells) {
  link_restored();
  const Probe probe = TRY(rows_.add(slot, cells[0]));
  graph_.insert(slot, probe);
  return {};
}

void Hnsw::remove(std::uint32_t slot) {
  link_restored();
  graph_.erase(slot);
  rows_.remove(slot);
}

double Hnsw::admitted_part(const plan::IndexScope& scope) const {
  constexpr std::uint32_t kSample = 256;
  const std::uint32_t step = std::max<std::uint32_t>(1, rows_.end() / kSample);
  std::size_t asked = 0, admitted = 0;
  for (std::uint32_t slot = 0; slot < rows_.end(); slot += step) {
    if (!rows_.has(slot)) continue;
    ++asked;
    admitted += scope.admits(slot) ? 1 : 0;
  }
  return asked == 0 ? 1 : static_cast<double>(admitted) / static_cast<double>(asked);
}

Result<std::vector<plan::IndexHit>> Hnsw::search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                 const plan::IndexScope& scope) {
  if (rows_.live() == 0 || limit == 0) return std::vector<plan::IndexHit>{};
  const Probe probe = TRY(rows_.read(query[0]));
  const auto all = static_cast<double>(rows_.live());
  if (rows_.live() <= options_.exact_rows) return rows_.scan(probe, limit, scope);
  link_restored();
  const double part = std::max(admitted_part(scope), 1e-3);
  const double expansion = static_cast<double>(std::max(options_.expansion_search, limit)) / part;
  if (expansion * options_.walk_cost > all * part) return rows_.scan(probe, limit, scope);
  graph_.search(probe, static_cast<std::size_t>(expansion), found_);
  Best best(limit, scope);
  for (const NearGraph::Near& near : found_)
    if (scope.admits(near.slot)) best.offer_admitted(near.slot, rows_.score(probe, near.slot));
  if (best.size() < limit) return rows_.scan(probe, limit, scope);
  return best.take();
}

// The slot, what the graph has, the vector.
std::string Hnsw::save(std::uint32_t slot) const {
  link_restored();
  const std::string links = graph_.save(slot);
  std::string out;
  append_number(slot, out);
  append_number(static_cast<std::uint32_t>(links.size()), out);
  return out + links + rows_.save(slot);
}

Result<void> Hnsw::restore(std::uint32_t slot, std::string_view saved) {
  const auto then = take_number<std::uint32_t>(saved);
  const auto size = take_number<std::uint32_t>(saved);
  if (!then || !size || *size > saved.size()) return fail(Code::kBadData, "a saved row of an index is broken");
  (void)TRY(rows_.restore(slot, saved.substr(*size)));
  if (!graph_.restore(slot, saved.substr(0, *size))) {
    rows_.remove(slot);
    return fail(Code::kBadData, "a saved row of an index is broken");
  }
  slot_now_[*then] = slot;
  return {};
}

void Hnsw::link_restored() const {
  if (slot_now_.empty()) return;
  graph_.link_restored(slot_now_);
  slot_now_ = {};
}

}  // namespace thalweg::llm
