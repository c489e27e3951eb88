// engine/state/order_prefix.h
//
// 64 bits of a cell that order as the cell does: a smaller prefix means a smaller cell; equal prefixes leave it open
// unless `decides`. None comes before values, ERROR after them (RowStore::compare).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/types/column.h"
#include "engine/types/type.h"

namespace thalweg {

class OrderPrefix {
 public:
  explicit OrderPrefix(const Type& type) : phys_(type.phys()), encoded_(type.is_encoded()) {}

  [[nodiscard]] std::uint64_t of(const Column& column, std::size_t row) const {
    switch (column.tag(row)) {
      case CellTag::kValue: break;
      case CellTag::kNone: return 0;
      default: return ~std::uint64_t{0};
    }
    switch (phys_) {
      case Phys::kU8: return clamp(column.u8()[row] + std::uint64_t{2});
      case Phys::kI64: return clamp(static_cast<std::uint64_t>(column.i64()[row]) ^ kTopBit);
      case Phys::kF64: return of_float(column.f64()[row]);
      case Phys::kU128: return clamp(column.u128()[row].hi);
      case Phys::kView: return encoded_ ? kLeast : of_text(column.views()[row].view());
    }
    UNREACHABLE();
  }
  // Cells with this prefix are equal.
  [[nodiscard]] bool decides(std::uint64_t prefix) const {
    return (phys_ == Phys::kI64 || phys_ == Phys::kF64 || phys_ == Phys::kU8) && prefix > kLeast && prefix < kMost;
  }

 private:
  static constexpr std::uint64_t kTopBit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t kLeast = 1;
  static constexpr std::uint64_t kMost = ~std::uint64_t{1};
  static std::uint64_t clamp(std::uint64_t bits) { return std::clamp(bits, kLeast, kMost); }
  static std::uint64_t of_float(double value) {
    if (value != value) return kMost;
    if (value == 0) value = 0;  // one zero
    auto bits = std::bit_cast<std::uint64_t>(value);
    return clamp((bits & kTopBit) != 0 ? ~bits : bits ^ kTopBit);
  }
  static std::uint64_t of_text(std::string_view text) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, text.data(), std::min<std::size_t>(text.size(), 8));
    return clamp(__builtin_bswap64(bits));
  }

  Phys phys_;
  bool encoded_;
};

}  // namespace thalweg
