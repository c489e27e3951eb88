#include "daemon/testing/table_check.h"

#include <algorithm>
#include <cmath>

#include "engine/types/encoding.h"
#include "pipeline_lang/expr_check.h"
#include "pipeline_lang/table_text.h"

namespace thalweg::testing {
namespace {

constexpr double kRelative = 1e-9;
constexpr std::size_t kDiffRowsMax = 200;

// What two sides are compared by: everything but floats, exactly; floats nearly.
struct Item {
  const Change* change = nullptr;
  std::int64_t left = 0;  // how much of its diff found no partner yet
};

bool near(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return true;
  return std::abs(a - b) <= kRelative * std::max(std::abs(a), std::abs(b)) && std::isfinite(a) && std::isfinite(b);
}

bool near(const NdArray& a, const NdArray& b) {
  const auto* x = std::get_if<std::vector<double>>(&a.data);
  const auto* y = std::get_if<std::vector<double>>(&b.data);
  if (x == nullptr || y == nullptr) return a == b;
  return a.shape == b.shape &&
         std::equal(x->begin(), x->end(), y->begin(), y->end(), [](double p, double q) { return near(p, q); });
}

// An array as the nested tuples it is written like: in a column of type any an expectation cannot tell the two apart.
Value as_tuples(const NdArray& array, std::size_t dim, std::size_t& at) {
  if (dim == array.shape.size()) {
    const auto* floats = std::get_if<std::vector<double>>(&array.data);
    const std::size_t i = at++;
    return floats != nullptr ? Value::of((*floats)[i]) : Value::of(std::get<std::vector<std::int64_t>>(array.data)[i]);
  }
  std::vector<Value> elements;
  for (std::int64_t i = 0; i < array.shape[dim]; ++i) elements.push_back(as_tuples(array, dim + 1, at));
  return Value::tuple(std::move(elements));
}
Value as_tuples(const Value& value) {
  std::size_t at = 0;
  return value.tag() == Value::Tag::kArray ? as_tuples(value.as_array(), 0, at) : value;
}

bool near(const Value& a, const Value& b) {
  const bool mixed = (a.tag() == Value::Tag::kArray) != (b.tag() == Value::Tag::kArray);
  if (mixed && (a.tag() == Value::Tag::kTuple || b.tag() == Value::Tag::kTuple))
    return near(as_tuples(a), as_tuples(b));
  if (a.tag() != b.tag()) return false;
  if (a.tag() == Value::Tag::kFloat) return near(a.as_float(), b.as_float());
  if (a.tag() == Value::Tag::kArray) return near(a.as_array(), b.as_array());
  if (a.tag() != Value::Tag::kTuple) return a == b;
  return std::equal(a.as_tuple().begin(), a.as_tuple().end(), b.as_tuple().begin(), b.as_tuple().end(),
                    [](const Value& p, const Value& q) { return near(p, q); });
}

// A cell of an `any` column could not be read as a type: it agrees with whatever it is a spelling of.
bool near_any(const Value& wanted, const Value& got) {
  if (near(wanted, got)) return true;
  if (wanted.is_none() || wanted.is_error() || got.is_none() || got.is_error()) return false;
  const Type type = lang::type_of_literal(got);
  auto read = lang::value_from_cell(lang::cell_text(wanted, lang::type_of_literal(wanted)), type);
  return read && near(*read, got);
}

// Equal for values that are near; unequal for most that are not.
void append_coarse(const Value& value, std::string& out) {
  switch (value.tag()) {
    case Value::Tag::kFloat: out += 'f'; return;
    case Value::Tag::kArray: append_coarse(as_tuples(value), out); return;
    case Value::Tag::kTuple:
      out += '(';
      for (const Value& element : value.as_tuple()) append_coarse(element, out);
      out += ')';
      return;
    default: encode(value, out);
  }
}

class Comparison {
 public:
  Comparison(ExpectKind kind, const Schema& schema, const Labels& labels)
      : kind_(kind), schema_(schema), labels_(labels) {}

  // Nothing if the two multisets agree.
  std::optional<std::string> run(const std::vector<Change>& expected, const std::vector<Change>& got) {
    fill(expected, missing_);
    fill(got, surplus_);
    match();
    bool agree = true;
    for (auto* side : {&missing_, &surplus_})
      for (const auto& [key, items] : *side)
        for (const Item& item : items) agree = agree && item.left == 0;
    return agree ? std::nullopt : std::optional(render());
  }

 private:
  using Buckets = std::map<std::string, std::vector<Item>>;

  std::string bucket_of(const Change& change) const {
    std::string key;
    if (kind_ == ExpectKind::kKeyed) encode_key(change.key, key);
    if (kind_ == ExpectKind::kStream) key += std::to_string(change.time) + " ";
    for (std::size_t i = 0; i < change.cells.size(); ++i)
      if (!schema_.columns[i].type.is(Kind::kAny)) append_coarse(change.cells[i], key);
    return key;
  }

  // Adds up the diffs of equal rows first, so that what cancels is no difference.
  void fill(const std::vector<Change>& changes, Buckets& out) const {
    for (const Change& change : changes) {
      std::vector<Item>& items = out[bucket_of(change)];
      auto same = std::find_if(items.begin(), items.end(),
                               [&](const Item& item) { return item.change->cells == change.cells; });
      if (same == items.end())
        items.push_back({&change, change.diff});
      else
        same->left += change.diff;
    }
  }

  void match() {
    for (auto& [key, items] : missing_) {
      auto other = surplus_.find(key);
      if (other == surplus_.end()) continue;
      for (Item& a : items)  // equal ones first, so that a near one does not take their place
        for (Item& b : other->second)
          if (a.change->cells == b.change->cells) agree(a, b);
      for (Item& a : items)
        for (Item& b : other->second)
          if (near_rows(a.change->cells, b.change->cells)) agree(a, b);
    }
  }

  void agree(Item& a, Item& b) {
    if (a.left == 0 || b.left == 0 || (a.left > 0) != (b.left > 0)) return;
    const std::int64_t shared = a.left > 0 ? std::min(a.left, b.left) : std::max(a.left, b.left);
    a.left -= shared;
    b.left -= shared;
    lines_.push_back({b.change, ' ', shared});
  }

  bool near_rows(const std::vector<Value>& wanted, const std::vector<Value>& got) const {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const bool is_any = schema_.columns[i].type.is(Kind::kAny);
      if (is_any ? !near_any(wanted[i], got[i]) : !near(wanted[i], got[i])) return false;
    }
    return true;
  }

  struct Line {
    const Change* change;
    char mark;
    std::int64_t diff;
  };

  bool before(const Line& a, const Line& b) const {
    if (kind_ == ExpectKind::kStream && a.change->time != b.change->time) return a.change->time < b.change->time;
    for (std::size_t i = 0; i < a.change->cells.size(); ++i)
      if (int order = compare(a.change->cells[i], b.change->cells[i]); order != 0) return order < 0;
    return a.mark == '-' && b.mark != '-';
  }

  std::vector<std::string> row_of(const Line& line, std::int64_t diff) const {
    std::vector<std::string> row;
    if (kind_ == ExpectKind::kKeyed) {
      auto label = labels_.find(line.change->key);
      row.push_back(label != labels_.end() ? label->second : to_text(line.change->key));
    }
    for (std::size_t i = 0; i < schema_.size(); ++i)
      row.push_back(lang::cell_text(line.change->cells[i], schema_.columns[i].type, &labels_));
    if (kind_ == ExpectKind::kStream) {
      row.push_back(line.change->time == lang::kTimeOfEnd ? "end" : std::to_string(line.change->time));
      row.push_back(std::to_string(diff));
    }
    return row;
  }

  std::vector<std::string> header() const {
    std::vector<std::string> names;
    if (kind_ == ExpectKind::kKeyed) names.emplace_back();
    for (const ColumnSpec& column : schema_.columns) names.push_back(column.name);
    if (kind_ == ExpectKind::kStream) names.insert(names.end(), {"__time__", "__diff__"});
    return names;
  }

  std::string render() {
    for (const auto& [mark, side] : {std::pair{'-', &missing_}, std::pair{'+', &surplus_}})
      for (const auto& [key, items] : *side)
        for (const Item& item : items)
          if (item.left != 0) lines_.push_back({item.change, mark, item.left});
    std::stable_sort(lines_.begin(), lines_.end(), [&](const Line& a, const Line& b) { return before(a, b); });
    std::vector<std::vector<std::string>> rows;
    std::string marks = " ";
    for (const Line& line : lines_) {
      const bool nets = kind_ == ExpectKind::kStream;
      const std::int64_t copies = nets ? 1 : std::abs(line.diff);
      for (std::int64_t i = 0; i < copies && rows.size() < kDiffRowsMax; ++i) {
        rows.push_back(row_of(line, line.diff));
        // A final table cannot owe rows; one that does is shown as taken away.
        marks += !nets && line.diff < 0 ? (line.mark == '+' ? '!' : line.mark) : line.mark;
      }
    }
    return marked(lang::format_table(header(), rows), marks) +
           (rows.size() < kDiffRowsMax ? "" : "  … further rows are not shown\n");
  }

  static std::string marked(const std::string& table, const std::string& marks) {
    std::string out;
    std::size_t begin = 0;
    for (char mark : marks) {
      std::size_t end = table.find('\n', begin);
      if (end == std::string::npos) end = table.size();
      out += std::string(1, mark) + " " + table.substr(begin, end - begin) + "\n";
      begin = std::min(end + 1, table.size());
    }
    return out;
  }

  ExpectKind kind_;
  const Schema& schema_;
  const Labels& labels_;
  Buckets missing_;
  Buckets surplus_;
  std::vector<Line> lines_;
};

}  // namespace

void append_changes(const Schema& schema, const Batch& batch, std::uint64_t time, std::vector<Change>& out) {
  const KeyColumn keys = batch.keys.absent() ? KeyColumn() : batch.keys.materialised(batch.num_rows);
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    Change change;
    if (!keys.absent()) change.key = keys[row];
    for (std::size_t i = 0; i < schema.size(); ++i)
      change.cells.push_back(batch.columns[i].value(schema.columns[i].type, row));
    change.time = time;
    change.diff = batch.diff(row);
    out.push_back(std::move(change));
  }
}

void collect_labels(std::string_view table_text, Labels& labels) {
  lang::TableTextOptions options;
  options.expected = true;
  auto table = lang::parse_table_text(table_text, options);
  if (!table) return;  // reported where it is used
  for (const lang::TableTextRow& row : table->rows)
    if (row.label) labels.emplace(row.key, *row.label);
}

Result<std::optional<std::string>> compare_table(const Expectation& expected, const FileTable& files,
                                                 const Schema& schema, std::vector<Change> got, const Labels& labels) {
  std::vector<lang::DeclaredColumn> declared;
  for (const ColumnSpec& column : schema.columns) declared.push_back({column.name, column.type, {}});
  lang::TableTextOptions options;
  options.declared = &declared;
  options.expected = true;
  options.span = expected.table.span;
  options.files = &files;
  lang::TableText text = TRY(lang::parse_table_text(expected.table.text, options));
  if (expected.kind == ExpectKind::kKeyed && !text.has_labels && !text.rows.empty())
    return fail(Code::kInvalidArgument, "`expect_keyed` needs row labels: a first column without a name",
                expected.table.span);
  std::vector<Change> wanted;
  for (lang::TableTextRow& row : text.rows) wanted.push_back({row.key, std::move(row.cells), row.time, row.diff});
  return Comparison(expected.kind, schema, labels).run(wanted, got);
}

}  // namespace thalweg::testing
