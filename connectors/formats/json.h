// connectors/formats/json.h
//
// JSON lines, parsed straight into columns: no tree is built. The keys of a row are expected in the order of the row
// before it, so that in regular input a key costs one 16-byte comparison.
//
// A line that is not a JSON object is a bad record; a value that does not fit its field is an ERROR cell. Of equal keys
// the last one counts. Fields may lie deeper, at RFC 6901 pointers.
//
// Cost  about 80 ns per 170-byte row of six fields, 35 ns per row of one short word (tests/bench/format_bench.cc).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "connectors/formats/format.h"

namespace thalweg {

// Column name → JSON pointer; columns that are not named are read from the key of their name.
using JsonPaths = std::map<std::string, std::string>;

class JsonLinesDecoder final : public RecordDecoder {
 public:
  // What has to be found in an object or array.
  struct Want {
    std::int32_t field = -1;  // the value here is this field
    std::map<std::string, std::unique_ptr<Want>, std::less<>> children;
  };

  // kInvalidArgument: a path is no JSON pointer or belongs to no column. `layout` must outlive the decoder.
  static Result<std::unique_ptr<JsonLinesDecoder>> make(const RecordLayout& layout, const JsonPaths& paths);
  void decode(const BlockRef& block, const BlockInfo& info, Reporter& report) const override;

 private:
  JsonLinesDecoder(const RecordLayout& layout, std::unique_ptr<Want> root) : layout_(layout), root_(std::move(root)) {}
  const RecordLayout& layout_;
  const std::unique_ptr<const Want> root_;
};

}  // namespace thalweg
