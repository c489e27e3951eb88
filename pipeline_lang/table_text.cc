#include "pipeline_lang/table_text.h"

#include <algorithm>
#include <limits>

#include "engine/base/edit_distance.h"
#include "engine/types/batch.h"
#include "engine/types/from_text.h"
#include "pipeline_lang/scalar_map.h"

namespace thalweg::lang {
namespace {

constexpr std::size_t kRowsMax = 10'000'000;
constexpr std::string_view kTimeName = "__time__";
constexpr std::string_view kDiffName = "__diff__";

struct Cell {
  std::string_view text;  // trimmed, quotes kept
  std::size_t begin = 0;  // in the whole text
};
struct Line {
  std::vector<Cell> cells;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::uint32_t number = 0;
};

bool is_gap(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// Behind the closing quote of the quoted cell that begins at `at`, or npos if the quote does not close before a `|`.
std::size_t end_of_quoted(std::string_view line, std::size_t at) {
  const char quote = line[at];
  std::size_t i = at + 1;
  while (i < line.size()) {
    if (quote == '"' && line[i] == '\\') {
      i += 2;
      continue;
    }
    if (line[i] == quote) {
      if (quote == '\'' && i + 1 < line.size() && line[i + 1] == '\'') {
        i += 2;
        continue;
      }
      std::size_t after = i + 1;
      while (after < line.size() && is_gap(line[after])) ++after;
      return after == line.size() || line[after] == '|' ? i + 1 : std::string_view::npos;
    }
    ++i;
  }
  return std::string_view::npos;
}

// Behind the bracket that closes the one at `at`, or npos.
std::size_t end_of_brackets(std::string_view line, std::size_t at) {
  int depth = 0;
  for (std::size_t i = at; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '[' || c == '(' || c == '{') ++depth;
    if (c == ']' || c == ')' || c == '}') {
      if (--depth == 0) return i + 1;
    }
    if (c == '"' || c == '\'') {
      std::size_t end = i + 1;
      while (end < line.size() && line[end] != c) end += line[end] == '\\' ? 2 : 1;
      if (end >= line.size()) return std::string_view::npos;
      i = end;
    }
  }
  return std::string_view::npos;
}

Line split_line(std::string_view text, std::size_t begin, std::size_t end, std::uint32_t number) {
  Line out{{}, begin, end, number};
  const std::string_view line = text.substr(begin, end - begin);
  std::size_t at = 0;
  while (true) {
    std::size_t first = at;
    while (first < line.size() && is_gap(line[first])) ++first;
    std::size_t search = first;
    if (first < line.size()) {
      const char c = line[first];
      std::size_t behind = std::string_view::npos;
      if (c == '\'' || c == '"') behind = end_of_quoted(line, first);
      if (c == '[' || c == '(' || c == '{') behind = end_of_brackets(line, first);
      if (behind != std::string_view::npos) search = behind;
    }
    const std::size_t bar = std::min(line.find('|', search), line.size());
    std::size_t last = bar;
    while (last > first && is_gap(line[last - 1])) --last;
    first = std::min(first, last);
    out.cells.push_back({line.substr(first, last - first), begin + first});
    if (bar == line.size()) return out;
    at = bar + 1;
  }
}

std::vector<Line> split_lines(std::string_view text) {
  std::vector<Line> out;
  std::uint32_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    ++number;
    const std::string_view line = text.substr(at, end - at);
    if (!std::all_of(line.begin(), line.end(), is_gap)) out.push_back(split_line(text, at, end, number));
    at = end + 1;
  }
  return out;
}

class TableTextReader {
 public:
  TableTextReader(std::string_view text, const TableTextOptions& options)
      : text_(text), options_(options), map_(text, options.span, options.files) {}

  Result<TableText> read() {
    TRY(read_header());
    TRY(decide_columns());
    for (std::size_t i = 1; i < lines_.size(); ++i) TRY(read_row(lines_[i]));
    if (!options_.expected) TRY(settle());
    return std::move(out_);
  }

  Result<std::vector<std::string>> names() {
    TRY(read_header());
    std::vector<std::string> out;
    for (const auto& column : columns_)
      if (column.role == Role::kCell) out.push_back(column.name);
    return out;
  }

 private:
  enum class Role : std::uint8_t { kLabel, kTime, kDiff, kCell, kNothing };
  struct HeaderColumn {
    std::string name;
    Role role = Role::kCell;
    std::size_t begin = 0, end = 0;
    std::size_t target = 0;  // column of the schema
  };

  std::unexpected<Error> error_at(std::size_t begin, std::size_t end, std::string message) const {
    if (!map_.exact()) {
      const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(begin), '\n');
      const std::size_t line_begin = begin == 0 ? 0 : text_.rfind('\n', begin - 1) + 1;
      message +=
          " (line " + std::to_string(line) + ", column " + std::to_string(begin - line_begin + 1) + " of the table)";
    }
    return fail(Code::kInvalidPipeline, std::move(message), map_.at(begin, end));
  }
  std::unexpected<Error> error_at(const Cell& cell, std::string message) const {
    return error_at(cell.begin, cell.begin + std::max<std::size_t>(cell.text.size(), 1), std::move(message));
  }

  Result<void> read_header() {
    lines_ = split_lines(text_);
    if (lines_.empty()) return error_at(0, text_.size(), "the table has no header");
    if (lines_.size() > kRowsMax) return error_at(0, 1, "the table has more than 10000000 rows");
    const Line& header = lines_[0];
    for (std::size_t i = 0; i < header.cells.size(); ++i) {
      const Cell& cell = header.cells[i];
      HeaderColumn column{std::string(cell.text), Role::kCell, cell.begin, cell.begin + cell.text.size(), 0};
      const bool quoted = cell.text.size() >= 2 && (cell.text.front() == '"' || cell.text.front() == '\'');
      if (quoted) {
        const auto name = value_from_cell(cell.text, Type(Kind::kStr));
        if (name) column.name = name->as_text();
      }
      if (cell.text.empty()) {
        if (header.cells.size() == 1) return error_at(cell, "the header names no column");
        // A header that is `|` alone: rows with labels and no columns.
        const bool labels_alone = i == 1 && header.cells.size() == 2 && out_.has_labels;
        if (i != 0 && !labels_alone) return error_at(cell, "a column of the header has no name");
        column.role = labels_alone ? Role::kNothing : Role::kLabel;
        out_.has_labels = true;
        if (labels_alone) column.name = "|";
      } else if (cell.text == kTimeName) {
        column.role = Role::kTime;
        out_.has_time = true;
      } else if (cell.text == kDiffName) {
        column.role = Role::kDiff;
        out_.has_diff = true;
      }
      for (const auto& earlier : columns_)
        if (earlier.name == column.name)
          return error_at(cell, "column `" + column.name + "` appears twice in the header");
      columns_.push_back(std::move(column));
    }
    return {};
  }

  Result<void> decide_columns() {
    for (const Line& line : lines_)
      if (line.cells.size() != columns_.size())
        return error_at(line.begin, line.end,
                        "this line has " + std::to_string(line.cells.size()) + " cells, the header has " +
                            std::to_string(columns_.size()));
    if (options_.declared != nullptr) return match_declared();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].role != Role::kCell) continue;
      columns_[i].target = out_.schema.size();
      out_.schema.columns.push_back({columns_[i].name, inferred(i)});
    }
    return {};
  }

  Result<void> match_declared() {
    for (const auto& declared : *options_.declared) {
      out_.schema.columns.push_back({declared.name, declared.type});
      defaults_.push_back(declared.default_value);
    }
    const auto names = out_.schema.names();
    std::vector<bool> seen(names.size(), false);
    for (auto& column : columns_) {
      if (column.role != Role::kCell) continue;
      const auto at = out_.schema.find(column.name);
      if (!at) {
        std::string message = "column `" + column.name + "` of the table is not " +
                              (options_.expected ? "in the result" : "in its schema");
        if (const auto near = nearest_name(column.name, names))
          message += "; did you mean `" + *near + "`?";
        else
          message += "; there are: " + joined(names);
        return error_at(column.begin, column.end, std::move(message));
      }
      column.target = *at;
      seen[*at] = true;
    }
    for (std::size_t i = 0; i < names.size(); ++i)
      if (!seen[i] && (!defaults_[i] || options_.expected))
        return error_at(lines_[0].begin, lines_[0].end, "the table lacks column `" + names[i] + "`");
    return {};
  }

  static std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "`" : ", `") + name + "`";
    return out;
  }

  // The first of bool, int, float, text that all non-empty cells fit.
  Type inferred(std::size_t column) const {
    bool optional = false, is_bool = true, is_int = true, is_float = true;
    for (std::size_t i = 1; i < lines_.size(); ++i) {
      const std::string_view cell = lines_[i].cells[column].text;
      if (cell.empty() || cell == "None" || cell == "null") {
        optional = true;
        continue;
      }
      if (cell == "Error") continue;
      is_bool = is_bool && bool_from_text(cell).has_value();
      is_int = is_int && int_from_text(cell).has_value();
      is_float = is_float && float_from_text(cell).has_value();
    }
    return Type(is_bool ? Kind::kBool : is_int ? Kind::kInt : is_float ? Kind::kFloat : Kind::kStr, optional);
  }

  Result<void> read_row(const Line& line) {
    TableTextRow row;
    row.line = line.number;
    row.cells.resize(out_.schema.size());
    for (std::size_t i = 0; i < defaults_.size(); ++i)
      if (defaults_[i]) row.cells[i] = *defaults_[i];
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Cell& cell = line.cells[i];
      const HeaderColumn& column = columns_[i];
      switch (column.role) {
        case Role::kLabel:
          if (!cell.text.empty()) row.label = std::string(cell.text);
          break;
        case Role::kTime: row.time = TRY(read_time(cell)); break;
        case Role::kDiff: row.diff = TRY(read_diff(cell)); break;
        case Role::kNothing:
          if (!cell.text.empty()) return error_at(cell, "this table has no columns");
          break;
        case Role::kCell: row.cells[column.target] = TRY(read_cell(cell, out_.schema.columns[column.target])); break;
      }
    }
    if (!options_.primary_key.empty()) {
      std::vector<Value> values;
      for (const auto& name : options_.primary_key)
        if (const auto at = out_.schema.find(name)) values.push_back(row.cells[*at]);
      row.key =
          values.size() == 1 && values[0].tag() == Value::Tag::kPointer ? values[0].as_key() : key_of_values(values);
      keyed_.push_back(true);
    } else if (row.label) {
      row.key = key_of_label(*row.label);
      keyed_.push_back(true);
    } else {
      row.key = sequence_key(options_.source, out_.rows.size());
      keyed_.push_back(false);
    }
    out_.rows.push_back(std::move(row));
    return {};
  }

  Result<Value> read_cell(const Cell& cell, const ColumnSpec& column) const {
    // An expectation may name a None that the result's type rules out: the comparison then fails, not the reading.
    auto value = value_from_cell(cell.text, options_.expected ? column.type.as_optional() : column.type);
    if (!value) return error_at(cell, "column `" + column.name + "`: " + value.error().message);
    return value;
  }

  Result<std::uint64_t> read_time(const Cell& cell) const {
    if (cell.text.empty()) return 2;
    if (options_.expected && cell.text == "end") return kTimeOfEnd;
    std::uint64_t time = 0;
    bool valid = cell.text.size() <= 20;
    for (const char c : cell.text) {
      valid = valid && c >= '0' && c <= '9' && !__builtin_mul_overflow(time, std::uint64_t{10}, &time) &&
              !__builtin_add_overflow(time, static_cast<std::uint64_t>(c - '0'), &time);
    }
    if (!valid) return error_at(cell, "`" + std::string(cell.text) + "` is no time: an unsigned number is expected");
    if (!options_.expected && (time < 2 || time % 2 != 0 || time >= kTimeOfEnd))
      return error_at(cell, "time " + std::string(cell.text) + ": times of an input are even and at least 2");
    return time;
  }

  Result<Diff> read_diff(const Cell& cell) const {
    if (cell.text.empty() || cell.text == "1" || cell.text == "+1") return Diff{1};
    if (cell.text == "-1") return Diff{-1};
    const auto n = int_from_text(cell.text);
    if (options_.expected && n && *n != 0 && *n > -1'000'000 && *n < 1'000'000) return static_cast<Diff>(*n);
    return error_at(cell, "`" + std::string(cell.text) + "`: `__diff__` is 1 or -1");
  }

  // Inputs: rows by time, deletions with what they delete, deletions first.
  Result<void> settle() {
    std::vector<std::size_t> order(out_.rows.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return out_.rows[a].time < out_.rows[b].time; });
    std::vector<TableTextRow> rows;
    for (std::size_t begin = 0; begin < order.size();) {
      std::size_t end = begin;
      while (end < order.size() && out_.rows[order[end]].time == out_.rows[order[begin]].time) ++end;
      if (options_.stream) {
        for (std::size_t i = begin; i < end; ++i) rows.push_back(out_.rows[order[i]]);
      } else {
        TRY(settle_batch(
            {order.begin() + static_cast<std::ptrdiff_t>(begin), order.begin() + static_cast<std::ptrdiff_t>(end)},
            rows));
      }
      begin = end;
    }
    out_.rows = std::move(rows);
    return {};
  }

  Result<void> settle_batch(const std::vector<std::size_t>& batch, std::vector<TableTextRow>& rows) {
    std::vector<TableTextRow> deletions, insertions;
    const auto cancel_in_batch = [&](const TableTextRow& row, bool by_key) {
      const auto same = std::find_if(insertions.begin(), insertions.end(), [&](const TableTextRow& other) {
        return (by_key ? other.key == row.key : !other.label) && other.cells == row.cells;
      });
      if (same == insertions.end()) return false;
      insertions.erase(same);
      return true;
    };
    for (const std::size_t i : batch)
      if (out_.rows[i].diff > 0) insertions.push_back(out_.rows[i]);
    for (const std::size_t i : batch) {
      TableTextRow row = out_.rows[i];
      if (row.diff > 0) continue;
      if (keyed_[i]) {
        const auto live = live_.find(row.key);
        if (live != live_.end()) {
          row.cells = live->second;
          live_.erase(live);
          deletions.push_back(std::move(row));
        } else if (!cancel_in_batch(row, true)) {
          return line_error(row, "this deletes a row that is not there");
        }
        continue;
      }
      const auto found = std::find_if(unlabelled_.begin(), unlabelled_.end(),
                                      [&](const auto& entry) { return entry.second == row.cells; });
      if (found != unlabelled_.end()) {
        row.key = found->first;
        unlabelled_.erase(found);
        deletions.push_back(std::move(row));
      } else if (!cancel_in_batch(row, false)) {
        return line_error(row, "this deletes a row that is not there");
      }
    }
    for (auto& row : insertions) {
      const bool keyed = row.label || !options_.primary_key.empty();
      if (!keyed) {
        if (out_.has_diff) unlabelled_.emplace_back(row.key, row.cells);
      } else if (!live_.emplace(row.key, row.cells).second) {
        return line_error(row, row.label ? "the row labelled " + *row.label + " is there already"
                                         : "a row with this primary key is there already");
      }
    }
    std::move(deletions.begin(), deletions.end(), std::back_inserter(rows));
    std::move(insertions.begin(), insertions.end(), std::back_inserter(rows));
    return {};
  }

  std::unexpected<Error> line_error(const TableTextRow& row, std::string message) const {
    for (const Line& line : lines_)
      if (line.number == row.line) return error_at(line.begin, line.end, std::move(message));
    return error_at(0, 1, std::move(message));
  }

  std::string_view text_;
  const TableTextOptions& options_;
  ScalarMap map_;
  std::vector<Line> lines_;
  std::vector<HeaderColumn> columns_;
  std::vector<std::optional<Value>> defaults_;
  std::vector<bool> keyed_;  // by row as written
  std::map<Key, std::vector<Value>> live_;
  std::vector<std::pair<Key, std::vector<Value>>> unlabelled_;
  TableText out_;
};

}  // namespace

Result<TableText> parse_table_text(std::string_view text, const TableTextOptions& options) {
  return TableTextReader(text, options).read();
}

Result<std::vector<std::string>> table_text_columns(std::string_view text, const TableTextOptions& options) {
  return TableTextReader(text, options).names();
}

std::vector<plan::StaticRow> static_rows(const TableText& table) {
  std::vector<plan::StaticRow> out;
  out.reserve(table.rows.size());
  for (const auto& row : table.rows) out.push_back({row.time, row.diff, row.key, row.cells});
  return out;
}

std::string format_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  const auto width_of = [](const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths;
  for (const auto& name : header) widths.push_back(width_of(name));
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i != 0) line += " | ";
      line += cells[i];
      if (i < widths.size()) line += std::string(widths[i] - width_of(cells[i]), ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  };
  add_line(header);
  for (const auto& row : rows) add_line(row);
  return out;
}

}  // namespace thalweg::lang
