// engine/base/strong_id.h
//
// Integers that do not mix.
#pragma once

#include <cstdint>
#include <functional>

namespace thalweg {

template <class Tag>
struct StrongId {
  std::uint32_t value = 0;
  friend auto operator<=>(const StrongId&, const StrongId&) = default;
};

using NodeId = StrongId<struct NodeTag>;      // a node of a plan; its index in Plan::nodes
using WorkerId = StrongId<struct WorkerTag>;  // a worker of a run, from 0

}  // namespace thalweg

template <class Tag>
struct std::hash<thalweg::StrongId<Tag>> {
  std::size_t operator()(const thalweg::StrongId<Tag>& id) const noexcept { return id.value; }
};
