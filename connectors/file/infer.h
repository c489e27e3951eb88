// connectors/file/infer.h
//
// Columns of files that come without a schema, from a sample of their records.
//
// csv   int, float, bool (`true`, `false` only), else text; an empty cell or a None word makes a column optional.
//       Digits with a leading zero, or too many for an int, are text: such fields are names, not numbers.
// json  int, float, bool, text; objects, arrays and mixtures are json; a null or a missing field makes it optional.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connectors/file/settings.h"
#include "engine/plan/node.h"

namespace thalweg {

struct InferredFields {
  std::vector<plan::SourceField> fields;
  std::vector<std::string> warnings;  // nothing to look at
};

struct InferOptions {
  std::optional<std::size_t> records_max = 1000;
  bool numbers_and_text_only = false;  // `!schema_from_csv`: int, float, str; never optional
};

// Requires: a format that takes a schema. Errors: a file that cannot be read.
[[nodiscard]] Result<InferredFields> infer_fields(const FileReadSettings& settings, Disk& disk,
                                                  const InferOptions& options = {});

}  // namespace thalweg
