#include "llm/index/hybrid.h"

#include <map>

#include "llm/index/best.h"
#include "llm/index/saved_numbers.h"

namespace thalweg::llm {

namespace {

// Rows in answers passed the filter already.
class Admitted final : public plan::IndexScope {
 public:
  explicit Admitted(const plan::IndexScope& scope) : scope_(scope) {}
  [[nodiscard]] bool admits(std::uint32_t) const override { return true; }
  [[nodiscard]] const Key& key(std::uint32_t slot) const override { return scope_.key(slot); }

 private:
  const plan::IndexScope& scope_;
};

}  // namespace

Result<void> Hybrid::add(std::uint32_t slot, std::span<const plan::IndexCell> cells) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    auto added = parts_[i].index->add(slot, cells.subspan(at, parts_[i].cells));
    if (!added) {  // in all of them or in none
      for (std::size_t before = 0; before < i; ++before) parts_[before].index->remove(slot);
      return added;
    }
    at += parts_[i].cells;
  }
  return {};
}

void Hybrid::remove(std::uint32_t slot) {
  for (const Part& part : parts_) part.index->remove(slot);
}

Result<std::vector<plan::IndexHit>> Hybrid::search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                   const plan::IndexScope& scope) {
  std::map<std::uint32_t, double> scores;
  std::size_t at = 0;
  for (const Part& part : parts_) {
    const auto hits = TRY(part.index->search(query.subspan(at, part.cells), limit, scope));
    for (std::size_t rank = 0; rank < hits.size(); ++rank)
      scores[hits[rank].slot] += 1 / (k_ + static_cast<double>(rank) + 1);
    at += part.cells;
  }
  const Admitted admitted(scope);
  Best best(limit, admitted);
  for (const auto& [slot, score] : scores) best.offer(slot, score);
  return best.take();
}

std::uint64_t Hybrid::bytes() const {
  std::uint64_t bytes = 0;
  for (const Part& part : parts_) bytes += part.index->bytes();
  return bytes;
}

// Each part behind its length.
std::string Hybrid::save(std::uint32_t slot) const {
  std::string out;
  for (const Part& part : parts_) {
    const std::string saved = part.index->save(slot);
    append_number(saved.size(), out);
    out += saved;
  }
  return out;
}

Result<void> Hybrid::restore(std::uint32_t slot, std::string_view saved) {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto size = take_number<std::size_t>(saved);
    Result<void> restored = !size || *size > saved.size()
                                ? Result<void>(fail(Code::kBadData, "a saved row of an index is broken"))
                                : parts_[i].index->restore(slot, saved.substr(0, *size));
    if (!restored) {
      for (std::size_t before = 0; before < i; ++before) parts_[before].index->remove(slot);
      return restored;
    }
    saved.remove_prefix(*size);
  }
  return {};
}

}  // namespace thalweg::llm
