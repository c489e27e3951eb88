#include "llm/index/near_graph.h"

#include <algorithm>
#include <cmath>

#include <xxhash.h>

#include "llm/index/saved_numbers.h"

namespace thalweg::llm {

namespace {

using Near = NearGraph::Near;

// A row of a pool that has been looked around from.
constexpr std::uint32_t kDone = 0x80000000;

bool is_nearer(const Near& a, const Near& b) {
  return a.distance != b.distance ? a.distance < b.distance : (a.slot & ~kDone) < (b.slot & ~kDone);
}

void drop(std::vector<std::uint32_t>& from, std::uint32_t slot) {
  const auto it = std::ranges::find(from, slot);
  if (it == from.end()) return;
  *it = from.back();
  from.pop_back();
}

}  // namespace

void NearGraph::Visited::begin(std::size_t slots) {
  if (marks_.size() < slots) marks_.resize(slots);
  if (++mark_ != 0) return;
  std::ranges::fill(marks_, 0);
  mark_ = 1;
}

NearGraph::NearGraph(const VectorRows& rows, const GraphShape& shape)
    : rows_(rows), connectivity_(shape.connectivity), expansion_add_(shape.expansion_add) {}

NearGraph::Links NearGraph::out(std::uint32_t slot, std::size_t layer) const {
  if (layer > 0) return const_cast<Links>(rows_of_graph_[slot].upper[layer - 1].out.data());
  return links_[slot / kBlockRows].get() + slot % kBlockRows * (room(0) + 1);
}
std::vector<std::uint32_t>& NearGraph::in(std::uint32_t slot, std::size_t layer) {
  Row& row = rows_of_graph_[slot];
  return layer > 0 ? row.upper[layer - 1].in : row.in;
}

void NearGraph::make_row(std::uint32_t slot, std::size_t layers) {
  while (links_.size() <= slot / kBlockRows)
    links_.push_back(std::make_unique<std::uint32_t[]>(kBlockRows * (room(0) + 1)));
  if (rows_of_graph_.size() <= slot) rows_of_graph_.resize(slot + 1);
  Row& row = rows_of_graph_[slot];
  row.layers = static_cast<std::uint8_t>(layers);
  row.upper.resize(layers - 1);
  for (Layer& layer : row.upper) layer.out.assign(room(1) + 1, 0);
  out(slot, 0)[0] = 0;
  ++size_;
}

// Each layer has one row in `connectivity` of the layer below.
std::size_t NearGraph::layers_of(std::uint32_t slot, const Probe& probe) const {
  const std::uint64_t hash = XXH3_64bits_withSeed(probe.floats.data(), probe.floats.size() * sizeof(float), slot);
  const double chance = (static_cast<double>(hash >> 11) + 1) / 9007199254740993.0;  // in (0, 1)
  const double layer = -std::log(chance) / std::log(static_cast<double>(connectivity_));
  return 1 + std::min(kLayersMax - 1, static_cast<std::size_t>(layer));
}

// The pool holds the nearest rows so far in order; whoever is next has not been looked around from.
void NearGraph::explore(const Probe& probe, std::uint32_t from, std::size_t expansion, std::size_t layer,
                        std::vector<Near>& pool) const {
  visited_.begin(rows_of_graph_.size());
  (void)visited_.first_time(from);
  pool.clear();
  pool.push_back({rows_.distance(probe, from), from});
  for (std::size_t next = 0; next < pool.size();) {
    if ((pool[next].slot & kDone) != 0) {
      ++next;
      continue;
    }
    const std::uint32_t slot = pool[next].slot;
    pool[next].slot |= kDone;
    const std::uint32_t* const links = out(slot, layer);
    fresh_.clear();
    for (std::uint32_t i = 1; i <= links[0]; ++i)
      if (visited_.first_time(links[i])) fresh_.push_back(links[i]);
    for (std::size_t i = 0; i < std::min<std::size_t>(fresh_.size(), 4); ++i) rows_.prefetch(fresh_[i]);
    std::size_t best = next + 1;
    for (std::size_t i = 0; i < fresh_.size(); ++i) {
      if (i + 4 < fresh_.size()) rows_.prefetch(fresh_[i + 4]);
      const Near near{rows_.distance(probe, fresh_[i]), fresh_[i]};
      if (pool.size() >= expansion) {
        if (!is_nearer(near, pool.back())) continue;
        pool.pop_back();
      }
      const auto at = std::ranges::upper_bound(pool, near, is_nearer);
      best = std::min(best, static_cast<std::size_t>(at - pool.begin()));
      pool.insert(at, near);
    }
    next = best;
  }
  for (Near& near : pool) near.slot &= ~kDone;
}

// Of rows in order of nearness to one, those that are nearer to it than to any that was chosen: links into all
// directions.
void NearGraph::choose(std::vector<Near>& sorted, std::size_t most) const {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < sorted.size() && kept < most; ++i) {
    const Near near = sorted[i];
    bool is_open = true;
    for (std::size_t j = 0; j < kept && is_open; ++j)
      is_open = near.distance < rows_.distance(near.slot, sorted[j].slot);
    if (is_open) sorted[kept++] = near;
  }
  sorted.resize(kept);
}

void NearGraph::link(std::uint32_t from, std::uint32_t to, std::size_t layer) {
  const Links links = out(from, layer);
  links[++links[0]] = to;
  in(to, layer).push_back(from);
}

void NearGraph::unlink(std::uint32_t from, std::uint32_t to, std::size_t layer) {
  const Links links = out(from, layer);
  std::uint32_t* const end = links + links[0] + 1;
  std::uint32_t* const at = std::find(links + 1, end, to);
  if (at == end) return;
  std::copy(at + 1, end, at);
  --links[0];
  drop(in(to, layer), from);
}

// One more link, if there is room or it is better than what there is.
void NearGraph::offer_link(std::uint32_t from, std::uint32_t to, float distance, std::size_t layer) {
  const Links links = out(from, layer);
  if (links[0] < room(layer)) return link(from, to, layer);
  std::vector<Near> all = {{distance, to}};
  for (std::uint32_t i = 1; i <= links[0]; ++i) all.push_back({rows_.distance(from, links[i]), links[i]});
  std::ranges::sort(all, is_nearer);
  const std::vector<Near> before = all;
  choose(all, room(layer));
  std::vector<std::uint32_t> kept, orphans;
  for (const Near& near : all) kept.push_back(near.slot);
  for (const Near& near : before) {
    if (std::ranges::find(kept, near.slot) != kept.end()) continue;
    const bool is_last = near.slot != to && in(near.slot, layer).size() == 1;
    if (is_last && all.size() < room(layer)) {  // N3
      all.push_back(near);
      continue;
    }
    if (near.slot == to) continue;
    unlink(from, near.slot, layer);
    if (is_last) orphans.push_back(near.slot);
  }
  if (std::ranges::find(kept, to) != kept.end()) link(from, to, layer);
  for (const std::uint32_t orphan : orphans) rescue(orphan, layer, kept);
}

// A link to a row that nobody links to, from the first of the hosts that has room or a link that is not the last.
void NearGraph::rescue(std::uint32_t slot, std::size_t layer, const std::vector<std::uint32_t>& hosts) {
  for (const std::uint32_t host : hosts)
    if (host != slot && out(host, layer)[0] < room(layer)) return link(host, slot, layer);
  for (const std::uint32_t host : hosts) {
    if (host == slot) continue;
    const Links links = out(host, layer);
    Near farthest{-INFINITY, kNone};
    for (std::uint32_t i = 1; i <= links[0]; ++i) {
      const Near near{rows_.distance(host, links[i]), links[i]};
      if (in(links[i], layer).size() > 1 && is_nearer(farthest, near)) farthest = near;
    }
    if (farthest.slot == kNone) continue;
    unlink(host, farthest.slot, layer);
    return link(host, slot, layer);
  }
}

void NearGraph::insert(std::uint32_t slot, const Probe& probe) {
  const std::size_t layers = layers_of(slot, probe);
  make_row(slot, layers);
  if (entry_ == kNone) {
    entry_ = slot;
    return;
  }
  std::vector<Near> pool;
  std::uint32_t from = entry_;
  const std::size_t top = rows_of_graph_[entry_].layers;
  for (std::size_t layer = top; layer-- > layers;) {
    explore(probe, from, 1, layer, pool);
    from = pool.front().slot;
  }
  for (std::size_t layer = std::min(top, layers); layer-- > 0;) {
    explore(probe, from, expansion_add_, layer, pool);
    from = pool.front().slot;
    choose(pool, connectivity_);
    for (const Near& near : pool) link(slot, near.slot, layer);
    for (const Near& near : pool) offer_link(near.slot, slot, near.distance, layer);
    if (!in(slot, layer).empty()) continue;
    std::vector<std::uint32_t> hosts;
    for (const Near& near : pool) hosts.push_back(near.slot);
    rescue(slot, layer, hosts);
  }
  if (layers > top) entry_ = slot;
}

// A row lost a link: the nearest of the candidates in a direction where it has none takes its place.
void NearGraph::mend(std::uint32_t slot, const std::vector<std::uint32_t>& candidates, std::size_t layer) {
  const Links links = out(slot, layer);
  std::vector<Near> sorted;
  for (const std::uint32_t candidate : candidates)
    if (candidate != slot && std::find(links + 1, links + links[0] + 1, candidate) == links + links[0] + 1)
      sorted.push_back({rows_.distance(slot, candidate), candidate});
  std::ranges::sort(sorted, is_nearer);
  for (const Near& near : sorted) {
    bool is_open = true;
    for (std::uint32_t i = 1; i <= links[0] && is_open; ++i)
      is_open = near.distance < rows_.distance(near.slot, links[i]);
    if (!is_open) continue;
    if (links[0] < room(layer)) link(slot, near.slot, layer);
    return;
  }
  if (links[0] == 0 && !sorted.empty()) link(slot, sorted.front().slot, layer);
}

void NearGraph::erase_from(std::uint32_t slot, std::size_t layer) {
  const Links links = out(slot, layer);
  const std::vector<std::uint32_t> to(links + 1, links + links[0] + 1);
  const std::vector<std::uint32_t> from = in(slot, layer);
  for (const std::uint32_t other : to) drop(in(other, layer), slot);
  for (const std::uint32_t other : from) unlink(other, slot, layer);
  links[0] = 0;
  for (const std::uint32_t other : from) mend(other, to, layer);
  for (const std::uint32_t other : to) {
    if (!in(other, layer).empty()) continue;
    const Links own = out(other, layer);
    std::vector<std::uint32_t> hosts(own + 1, own + own[0] + 1);
    hosts.insert(hosts.end(), to.begin(), to.end());
    hosts.insert(hosts.end(), from.begin(), from.end());
    rescue(other, layer, hosts);
  }
}

void NearGraph::erase(std::uint32_t slot) {
  if (!has(slot)) return;
  for (std::size_t layer = rows_of_graph_[slot].layers; layer-- > 0;) erase_from(slot, layer);
  rows_of_graph_[slot] = {};
  --size_;
  if (slot == entry_) choose_entry();
}

void NearGraph::choose_entry() {
  entry_ = kNone;
  std::uint8_t layers = 0;
  for (std::uint32_t slot = 0; slot < rows_of_graph_.size(); ++slot)
    if (rows_of_graph_[slot].layers > layers) {
      layers = rows_of_graph_[slot].layers;
      entry_ = slot;
    }
}

void NearGraph::search(const Probe& probe, std::size_t expansion, std::vector<Near>& out) const {
  out.clear();
  if (entry_ == kNone) return;
  std::uint32_t from = entry_;
  for (std::size_t layer = rows_of_graph_[entry_].layers; layer-- > 1;) {
    explore(probe, from, 1, layer, out);
    from = out.front().slot;
  }
  explore(probe, from, expansion, 0, out);
}

std::uint64_t NearGraph::bytes() const {
  return links_.size() * kBlockRows * (room(0) + 1) * sizeof(std::uint32_t) +
         rows_of_graph_.size() * (sizeof(Row) + connectivity_ * 5) + size_ * 8;
}

std::string NearGraph::save(std::uint32_t slot) const {
  std::string saved;
  append_number(rows_of_graph_[slot].layers, saved);
  for (std::size_t layer = 0; layer < rows_of_graph_[slot].layers; ++layer) {
    const std::uint32_t* const links = out(slot, layer);
    for (std::uint32_t i = 0; i <= links[0]; ++i) append_number(links[i], saved);
  }
  return saved;
}

bool NearGraph::restore(std::uint32_t slot, std::string_view saved) {
  const auto layers = take_number<std::uint8_t>(saved);
  if (!layers || *layers == 0 || *layers > kLayersMax) return false;
  make_row(slot, *layers);
  bool fine = true;
  for (std::size_t layer = 0; fine && layer < *layers; ++layer) {
    const Links links = out(slot, layer);
    const auto count = take_number<std::uint32_t>(saved);
    fine = count && *count <= room(layer) && saved.size() >= *count * sizeof(std::uint32_t);
    for (std::uint32_t i = 1; fine && i <= *count; ++i) links[i] = *take_number<std::uint32_t>(saved);
    if (fine) links[0] = *count;
  }
  if (fine && saved.empty()) return true;
  rows_of_graph_[slot] = {};
  --size_;
  return false;
}

void NearGraph::link_restored(const std::unordered_map<std::uint32_t, std::uint32_t>& slot_now) {
  const auto now = [&](std::uint32_t then) {
    const auto it = slot_now.find(then);
    return it == slot_now.end() ? kNone : it->second;
  };
  for (std::uint32_t slot = 0; slot < rows_of_graph_.size(); ++slot)
    for (std::size_t layer = 0; layer < rows_of_graph_[slot].layers; ++layer) {
      const Links links = out(slot, layer);
      const std::uint32_t count = std::exchange(links[0], 0);
      for (std::uint32_t i = 1; i <= count; ++i) {
        const std::uint32_t to = now(links[i]);
        const bool fits = to != kNone && to != slot && has(to) && rows_of_graph_[to].layers > layer &&
                          std::find(links + 1, links + links[0] + 1, to) == links + links[0] + 1;
        if (fits) link(slot, to, layer);
      }
    }
  choose_entry();
}

}  // namespace thalweg::llm
