// pipeline_lang/csv_sample.h
//
// Column names and types from the first rows of a CSV text, for `!schema_from_csv`.
#pragma once

#include <optional>
#include <string_view>

#include "engine/base/result.h"
#include "engine/types/schema.h"

namespace thalweg::lang {

struct CsvSampleOptions {
  char delimiter = ',';
  char quote = '"';
  char escape = '\0';   // none
  char comment = '\0';  // none
  bool double_quote_escapes = true;
  std::optional<std::size_t> rows_max;  // all if absent
};

// Types are int, float or str: the first that every non-empty cell reads as. A column without any value is str.
[[nodiscard]] Result<Schema> csv_sample_schema(std::string_view text, const CsvSampleOptions& options);

}  // namespace thalweg::lang
