// pipeline_lang/table_text.h
//
// Tables written as text (language.md 9): a header, cells between `|`, row labels, `__time__` and `__diff__`. Used by
// `!table_from_markdown`, by the inputs and expectations of tests, and to print tables back in failures.
//
//   | a | b | __time__ | __diff__
//   1 | x | 2 | 2      | 1
//
// Errors point into the file if `span` and `files` are given; else the message ends with `(line 3, column 5 of the
// table)`, both counted from 1 in the decoded text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/file_table.h"
#include "engine/base/result.h"
#include "engine/plan/node.h"
#include "engine/types/schema.h"

namespace thalweg::lang {

inline constexpr std::uint64_t kTimeOfEnd = 18446744073709551614ULL;  // written `end`

struct DeclaredColumn {
  std::string name;
  Type type;
  std::optional<Value> default_value;  // for a column that the text lacks
};

struct TableTextOptions {
  // Declared columns in their order; null: columns and types come from the text. A column of the text that is not
  // declared is an error, a declared one without default that the text lacks as well.
  const std::vector<DeclaredColumn>* declared = nullptr;
  std::vector<std::string> primary_key;  // keys come from these columns instead of labels
  bool stream = false;       // every line is an event; labels may repeat, nothing is checked against live rows
  bool expected = false;     // of a test: any time (and `end`), no checks, labels need not be unique over time
  std::uint64_t source = 0;  // makes the keys of unlabelled rows unlike those of other tables
  SourceSpan span;           // of the scalar in its file
  const FileTable* files = nullptr;
};

struct TableTextRow {
  std::optional<std::string> label;
  Key key;
  std::vector<Value> cells;
  std::uint64_t time = 2;
  Diff diff = 1;
  std::uint32_t line = 0;  // of the text, from 1
};

struct TableText {
  Schema schema;                   // without `__time__` and `__diff__`
  std::vector<TableTextRow> rows;  // inputs: by time, and per time deletions before insertions; else as written
  bool has_labels = false;
  bool has_time = false;
  bool has_diff = false;
};

[[nodiscard]] Result<TableText> parse_table_text(std::string_view text, const TableTextOptions& options);

// Only the header's names, without `__time__` and `__diff__`; for checks before the types are known.
[[nodiscard]] Result<std::vector<std::string>> table_text_columns(std::string_view text,
                                                                  const TableTextOptions& options);

// Rows for a plan::StaticRows.
[[nodiscard]] std::vector<plan::StaticRow> static_rows(const TableText& table);

// The key of a row label: pointer_from of an int if it reads as one, else of the text.
[[nodiscard]] Key key_of_label(std::string_view label);

// One cell read as `type`; the message says what was expected. `quoted` text is never blank, None or ERROR.
[[nodiscard]] Result<Value> value_from_cell(std::string_view cell, const Type& type);

// A cell as it could be written in a table. Pointers print as their label where one is known.
[[nodiscard]] std::string cell_text(const Value& value, const Type& type,
                                    const std::map<Key, std::string>* labels = nullptr);
// Aligned columns, `a | b` per line; an empty first name is the column of labels.
[[nodiscard]] std::string format_table(const std::vector<std::string>& header,
                                       const std::vector<std::vector<std::string>>& rows);

}  // namespace thalweg::lang
