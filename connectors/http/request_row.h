// connectors/http/request_row.h
//
// A request as a row: JSON members of the body, and parameters of the query where the body has none of that name.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/formats/json_object.h"
#include "engine/plan/node.h"

namespace thalweg::web {

struct FieldProblem {
  std::string field;
  std::string message;  // names the field
};

using QueryFields = std::vector<std::pair<std::string, std::string>>;

// One value per field, used or not. `body` may be null. A missing field takes its default, else None where the type
// has it.
[[nodiscard]] std::expected<std::vector<Value>, FieldProblem> row_of(const std::vector<plan::SourceField>& fields,
                                                                     const json::JsonObject* body,
                                                                     const QueryFields& query);
// What cannot be read is an ERROR cell and a problem.
[[nodiscard]] std::vector<Value> row_with_errors(const std::vector<plan::SourceField>& fields,
                                                 const json::JsonObject& body, std::vector<FieldProblem>& problems);
[[nodiscard]] bool has_primary_key(const std::vector<plan::SourceField>& fields);
// Nothing without a primary key.
[[nodiscard]] std::optional<Key> primary_key_of(const std::vector<plan::SourceField>& fields,
                                                const std::vector<Value>& cells);
// Line ends between tokens become blanks, so that what reads JSON by the line reads it.
[[nodiscard]] std::string on_one_line(std::string_view json);
// The records of a body: one object, an array of objects, or one object per line; `line` counts from 1.
struct BodyRecord {
  std::uint64_t line = 1;  // of an array: which element
  json::JsonObject object;
};
struct BodyProblem {
  std::uint64_t line = 0;
  std::string message;
};
[[nodiscard]] std::expected<std::vector<BodyRecord>, BodyProblem> records_of(std::string_view body);
[[nodiscard]] Schema used_columns(const std::vector<plan::SourceField>& fields);
[[nodiscard]] std::vector<Value> used_cells(const std::vector<plan::SourceField>& fields,
                                            const std::vector<Value>& cells);

}  // namespace thalweg::web
