// engine/plan/source_shape.h
//
// What a connector says about the table it will read, before it is built.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/plan/node.h"

namespace thalweg::plan {

struct SourceShape {
  // Without a schema: the columns, fixed by format (`data`) or inferred from a sample. Ignored with one.
  std::vector<SourceField> fields;
  // Columns that come on top of either (`_metadata`).
  std::vector<SourceField> extra;
  bool inferred = false;              // `fields` are a guess from a sample: shown by check
  bool append_only = false;           // never retracts
  std::optional<bool> upsert;         // records replace by key; else as the connector's row says
  std::vector<std::string> warnings;  // a missing path: the types stay any
};

}  // namespace thalweg::plan
