// engine/operators/reducers/reducer_archive.h
//
// State by group in an archive. Groups are named by their places in the list that the owner saves; when it is loaded a
// list says, by place, which group that is now, or kNotMine.
#pragma once

#include <span>
#include <vector>

#include "engine/base/int128.h"
#include "engine/state/archive.h"
#include "engine/state/exact_sum.h"

namespace thalweg {

using GroupList = std::span<const std::uint32_t>;
inline constexpr std::uint32_t kNotMine = 0xFFFFFFFFU;
inline constexpr std::size_t kGroupsPerPiece = std::size_t{1} << 16;

// One number of every group: get(group), set(group, number).
template <PlainNumber T, class Get>
void save_numbers(GroupList groups, StateWriter& out, Get&& get) {
  std::vector<T> piece;
  for (std::size_t from = 0; from < groups.size(); from += kGroupsPerPiece) {
    GroupList part = groups.subspan(from, std::min(kGroupsPerPiece, groups.size() - from));
    piece.resize(part.size());
    for (std::size_t i = 0; i < part.size(); ++i) piece[i] = get(part[i]);
    out.put_numbers(piece);
  }
}
template <PlainNumber T, class Set>
Result<void> load_numbers(StateReader& in, GroupList groups, Set&& set) {
  for (std::size_t from = 0; from < groups.size(); from += kGroupsPerPiece) {
    GroupList part = groups.subspan(from, std::min(kGroupsPerPiece, groups.size() - from));
    std::vector<T> piece = TRY(in.numbers<T>());
    if (piece.size() != part.size()) return in.corrupt("another number of groups");
    for (std::size_t i = 0; i < part.size(); ++i)
      if (part[i] != kNotMine) set(part[i], piece[i]);
  }
  return {};
}

template <class Get>
void save_wide(GroupList groups, StateWriter& out, Get&& get) {
  save_numbers<std::uint64_t>(groups, out, [&](std::uint32_t g) { return static_cast<std::uint64_t>(get(g)); });
  save_numbers<std::int64_t>(groups, out, [&](std::uint32_t g) { return static_cast<std::int64_t>(get(g) >> 64); });
}
// set(group) gives the number to write to.
template <class Slot>
Result<void> load_wide(StateReader& in, GroupList groups, Slot&& slot) {
  TRY(load_numbers<std::uint64_t>(in, groups, [&](std::uint32_t g, std::uint64_t low) { slot(g) = low; }));
  return load_numbers<std::int64_t>(in, groups, [&](std::uint32_t g, std::int64_t high) {
    slot(g) += static_cast<Int128>(high) * (static_cast<Int128>(1) << 64);
  });
}

template <class Get>
void save_sums(GroupList groups, StateWriter& out, Get&& get) {
  for (std::size_t from = 0; from < groups.size(); from += kGroupsPerPiece) {
    SumColumns piece;
    for (std::uint32_t group : groups.subspan(from, std::min(kGroupsPerPiece, groups.size() - from)))
      get(group).append_to(piece);
    piece.save(out);
  }
}
template <class Slot>
Result<void> load_sums(StateReader& in, GroupList groups, Slot&& slot) {
  for (std::size_t from = 0; from < groups.size(); from += kGroupsPerPiece) {
    GroupList part = groups.subspan(from, std::min(kGroupsPerPiece, groups.size() - from));
    SumColumns piece;
    TRY(piece.load(in, part.size()));
    for (std::uint32_t group : part) {
      ExactSum sum = ExactSum::next_of(piece);
      if (group != kNotMine) slot(group) = std::move(sum);
    }
  }
  return {};
}

}  // namespace thalweg
