// connectors/postgres/encoder.h
//
// Cells → the binary form of COPY.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "connectors/postgres/wire.h"
#include "engine/types/batch.h"

namespace thalweg::postgres {

// One column of a COPY: where its cells come from, what they become.
struct EncodedColumn {
  std::string name;
  Type type;
  WireType wire;
  std::uint32_t column = 0;  // of the batch
  bool not_null = false;
};

inline constexpr std::string_view kCopyHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
inline constexpr std::string_view kCopyTrailer{"\377\377", 2};

// Appends the field (length and bytes). False: it does not fit; `why` says so, `out` is as it was.
[[nodiscard]] bool append_field(const EncodedColumn& column, const Batch& batch, std::size_t row, std::string& out,
                                std::string& why);

}  // namespace thalweg::postgres
