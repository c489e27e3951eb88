// engine/operators/temporal/clocks.h
//
// Event time as gates and sessions see it: the maximum of a time over the rows that reached an operator, on all
// workers, per instance or over all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/operators/operator.h"
#include "engine/state/group_ids.h"

namespace thalweg::operators {

// Maxima per instance; one instance, 0, if there is no instance column.
class Clocks {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();

  explicit Clocks(std::vector<Type> instance) : global_(instance.empty()), ids_(std::move(instance)) {}

  void instances(const Batch& batch, std::span<const std::uint32_t> columns, std::vector<std::uint32_t>& out) {
    ids_.assign(batch, columns, out);
    grow();
  }
  [[nodiscard]] std::int64_t before(std::uint32_t instance) const {
    return instance < before_.size() ? before_[instance] : kNever;
  }
  [[nodiscard]] std::int64_t now(std::uint32_t instance) const {
    return instance < now_.size() ? now_[instance] : kNever;
  }
  void see(std::uint32_t instance, std::int64_t time) {
    grow();
    saw_ = true;
    if (now_[instance] >= time) return;
    if (now_[instance] == before_[instance]) moved_.push_back(instance);
    now_[instance] = time;
  }
  // A row came that does not move the clock.
  void touch() { saw_ = true; }
  // Tells the other workers what this one saw, and learns what they did.
  void exchange(OperatorContext& context) {
    if (context.num_workers() == 1) return;
    std::string mine(9, '\0');
    mine[0] = saw_ ? 1 : 0;
    std::int64_t time = now(0);
    std::memcpy(mine.data() + 1, &time, sizeof time);
    for (const std::string& other : context.all_to_all(std::move(mine))) {
      if (other.size() != 9 || other[0] == 0) continue;
      std::memcpy(&time, other.data() + 1, sizeof time);
      if (global_ && time != kNever) see(0, time);
      saw_ = true;
    }
  }
  [[nodiscard]] bool saw_rows() const { return saw_; }
  // Instances whose clock moved in this commit.
  [[nodiscard]] const std::vector<std::uint32_t>& moved() const { return moved_; }
  void end_commit() {
    for (std::uint32_t instance : moved_) before_[instance] = now_[instance];
    moved_.clear();
    saw_ = false;
  }
  // Between commits. `marked`: instances that the owner has to come back to.
  void save(StateWriter& out, std::span<const std::uint32_t> marked) const;
  // One clock over all is the same on every worker; clocks of instances go where their rows go. Appends to `marked`.
  Result<void> load(StateReader& in, const ShardFilter& mine, std::vector<std::uint32_t>& marked);
  [[nodiscard]] std::size_t size() const { return now_.size(); }
  [[nodiscard]] bool global() const { return global_; }
  [[nodiscard]] std::size_t bytes() const { return ids_.bytes() + now_.capacity() * 16; }

 private:
  void set(std::uint32_t instance, std::int64_t time) {
    grow();
    now_[instance] = before_[instance] = std::max(now_[instance], time);
  }
  void grow() {
    std::size_t count = global_ ? 1 : ids_.cells().end();
    if (now_.size() >= count) return;
    now_.resize(count, kNever);
    before_.resize(count, kNever);
  }

  bool global_;
  GroupIds ids_;  // instances are never dropped: their clocks go on
  std::vector<std::int64_t> now_, before_;
  std::vector<std::uint32_t> moved_;
  bool saw_ = false;
};

}  // namespace thalweg::operators
