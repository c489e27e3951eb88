// engine/types/schema.h
//
// Names and types of the columns of a table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types/type.h"

namespace thalweg {

struct ColumnSpec {
  std::string name;
  Type type;
};

struct Schema {
  std::vector<ColumnSpec> columns;

  [[nodiscard]] std::size_t size() const { return columns.size(); }
  [[nodiscard]] std::optional<std::size_t> find(std::string_view name) const {
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (columns[i].name == name) return i;
    return std::nullopt;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    out.reserve(columns.size());
    for (const auto& column : columns) out.push_back(column.name);
    return out;
  }
};

}  // namespace thalweg
