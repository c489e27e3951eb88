// connectors/formats/raw.h
//
// Input as it is: a row per line (plain text), or a row per file (text or bytes), in the column `data`.
#pragma once

#include "connectors/formats/format.h"

namespace thalweg {

class PlainTextDecoder final : public RecordDecoder {
 public:
  explicit PlainTextDecoder(const RecordLayout& layout) : layout_(layout) {}
  void decode(const BlockRef& block, const BlockInfo& info, Reporter& report) const override;

 private:
  const RecordLayout& layout_;
};

// A whole file is one row. Not a RecordDecoder: it must know how many bytes of the block are content.
class WholeFileDecoder {
 public:
  explicit WholeFileDecoder(const RecordLayout& layout) : layout_(layout) {}
  // `bytes` of the block are the content.
  void decode(const BlockRef& block, std::size_t bytes, const BlockInfo& info, Reporter& report) const;

 private:
  const RecordLayout& layout_;
};

}  // namespace thalweg
