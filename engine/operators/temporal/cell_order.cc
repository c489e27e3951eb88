#include "engine/operators/temporal/cell_order.h"

#include <cstring>
#include <limits>

#include "engine/types/encoding.h"

namespace thalweg::operators {

namespace {

int rank(CellTag tag) {
  switch (tag) {
    case CellTag::kNone: return 0;
    case CellTag::kValue: return 1;
    case CellTag::kError: return 2;
    case CellTag::kPending: return 3;
  }
  UNREACHABLE();
}

template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min(),
                       kGreatest = std::numeric_limits<std::int64_t>::max();

std::int64_t as_signed(std::uint64_t value) { return static_cast<std::int64_t>(value ^ (std::uint64_t{1} << 63)); }

}  // namespace

int compare_cells(const RowStore& rows, std::size_t column, std::uint32_t a, std::uint32_t b) {
  CellTag tag_a = rows.tag(column, a), tag_b = rows.tag(column, b);
  if (tag_a != tag_b) return order(rank(tag_a), rank(tag_b));
  if (tag_a != CellTag::kValue) return 0;
  const Type& type = rows.types()[column];
  switch (type.phys()) {
    case Phys::kU8: return order(rows.cell<std::uint8_t>(column, a), rows.cell<std::uint8_t>(column, b));
    case Phys::kI64: return order(rows.cell<std::int64_t>(column, a), rows.cell<std::int64_t>(column, b));
    case Phys::kF64:
      return order(order_of_float(rows.cell<double>(column, a)), order_of_float(rows.cell<double>(column, b)));
    case Phys::kU128: return order(rows.cell<Key>(column, a), rows.cell<Key>(column, b));
    case Phys::kView: {
      const StrView& x = rows.cell<StrView>(column, a);
      const StrView& y = rows.cell<StrView>(column, b);
      if (x == y) return 0;
      return type.is_encoded() ? compare_encoded(x.view(), y.view()) : order(x.view().compare(y.view()), 0);
    }
  }
  UNREACHABLE();
}

std::int64_t order_prefix(const RowStore& rows, std::size_t column, std::uint32_t row) {
  CellTag tag = rows.tag(column, row);
  if (tag == CellTag::kNone) return kLeast;
  if (tag != CellTag::kValue) return kGreatest;
  const Type& type = rows.types()[column];
  switch (type.phys()) {
    case Phys::kU8: return rows.cell<std::uint8_t>(column, row);
    case Phys::kI64: return rows.cell<std::int64_t>(column, row);
    case Phys::kF64: return order_of_float(rows.cell<double>(column, row));
    case Phys::kU128: return as_signed(rows.cell<Key>(column, row).hi);
    case Phys::kView: {
      if (type.is_encoded()) return 0;
      const StrView& view = rows.cell<StrView>(column, row);
      unsigned char bytes[8] = {};
      std::memcpy(bytes, view.data(), std::min<std::size_t>(8, view.size()));
      std::uint64_t prefix = 0;
      for (unsigned char byte : bytes) prefix = prefix << 8 | byte;
      return as_signed(prefix);
    }
  }
  UNREACHABLE();
}

bool prefix_decides(const Type& type) {
  return !type.admits_none() && (type.phys() == Phys::kI64 || type.phys() == Phys::kF64 || type.phys() == Phys::kU8);
}

}  // namespace thalweg::operators
