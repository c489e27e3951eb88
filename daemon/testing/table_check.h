// daemon/testing/table_check.h
//
// Compares what a pipeline gave with a table written in a test: as multisets, floats within 1e-9 relative, two NaN
// equal. A difference comes back as a unified diff of the two tables.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/testing/test_case.h"
#include "engine/base/result.h"
#include "engine/types/batch.h"

namespace thalweg::testing {

// One change of a table; of a final table every row is a change of +1.
struct Change {
  Key key;
  std::vector<Value> cells;
  std::uint64_t time = 0;
  std::int64_t diff = 1;
};

// Appends the rows of a batch.
void append_changes(const Schema& schema, const Batch& batch, std::uint64_t time, std::vector<Change>& out);

// Names of row labels that appear in the texts of a test, to print pointers by.
using Labels = std::map<Key, std::string>;
void collect_labels(std::string_view table_text, Labels& labels);

// Nothing if they agree; else the diff. An error if the expected text cannot be read with this schema.
[[nodiscard]] Result<std::optional<std::string>> compare_table(const Expectation& expected, const FileTable& files,
                                                               const Schema& schema, std::vector<Change> got,
                                                               const Labels& labels);

}  // namespace thalweg::testing
