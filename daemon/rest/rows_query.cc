#include "daemon/rest/rows_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/base/file_table.h"
#include "engine/expr/program.h"
#include "engine/types/from_text.h"
#include "pipeline_lang/expr_check.h"

namespace thalweg::daemon {
namespace {

// ---------------------------------------------------------------- reading the parameters

Checked<std::uint32_t> column_of(std::string_view name, const Schema& schema) {
  if (auto column = schema.find(name)) return static_cast<std::uint32_t>(*column);
  return refuse(400, "unknown_column", "there is no column `" + std::string(name) + "`",
                suggestion(name, schema.names()));
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    std::size_t end = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, end);
    text.remove_prefix(end == text.size() ? end : end + 1);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) out.push_back(item);
  }
  return out;
}

Checked<std::vector<OrderColumn>> parse_order(std::string_view text, const Schema& schema) {
  std::vector<OrderColumn> out;
  for (std::string_view item : split_list(text)) {
    OrderColumn order;
    // A column whose name begins with a dash still sorts: the whole text is tried first.
    if (!schema.find(item)) {
      if (item.starts_with('-') || item.starts_with('+')) {
        order.descending = item.front() == '-';
        item.remove_prefix(1);
      } else if (item.ends_with(" desc") || item.ends_with(" DESC")) {
        order.descending = true;
        item.remove_suffix(5);
      } else if (item.ends_with(" asc") || item.ends_with(" ASC")) {
        item.remove_suffix(4);
      }
    }
    auto column = column_of(item, schema);
    if (!column) return std::unexpected(column.error());
    order.column = *column;
    out.push_back(order);
  }
  return out;
}

Checked<plan::ExprPtr> parse_where(const std::string& text, const Schema& schema) {
  FileTable files;
  FileId file = files.add("where", text);
  lang::ExprInput input{.text = text,
                        .span = {file, 0, static_cast<std::uint32_t>(text.size())},
                        .literal = std::nullopt,
                        .files = &files};
  auto expr = lang::check_condition(input, lang::NameScope::of_table(schema), "where");
  if (expr) return *expr;
  Problem problem = problem_of(expr.error());
  problem.status = 400;
  problem.code = "invalid_expression";
  if (expr.error().span.known()) {
    LineColumn at = files.locate(expr.error().span);
    problem.line = at.line;
    problem.column = at.column;
  }
  return std::unexpected(std::move(problem));
}

template <class T, class Make>
std::optional<Value> made(const std::optional<T>& parsed, Make make) {
  return parsed ? std::optional<Value>(make(*parsed)) : std::nullopt;
}

// The text of a `k.` parameter as a cell of that type.
std::optional<Value> value_of(const Type& type, const std::string& text) {
  auto number = [](auto v) { return Value::of(v); };
  switch (type.kind()) {
    case Kind::kBool: return made(bool_from_text(text), number);
    case Kind::kInt: return made(int_from_text(text), number);
    case Kind::kFloat: return made(float_from_text(text), number);
    case Kind::kPointer: return made(key_from_text(text), [](Key k) { return Value::of(k); });
    case Kind::kUuid: return made(uuid_from_text(text), [](Key k) { return Value::uuid(k); });
    case Kind::kStr: return Value::str(text);
    case Kind::kBytes: return Value::bytes(text);
    case Kind::kJson: return made(compact_json(text), [](std::string t) { return Value::json(std::move(t)); });
    case Kind::kDateTimeNaive: return made(parse_datetime_naive(text), Value::datetime_naive);
    case Kind::kDateTimeUtc: return made(parse_datetime_utc(text), Value::datetime_utc);
    case Kind::kDuration: return made(parse_duration(text), Value::duration);
    case Kind::kNone:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: return std::nullopt;
  }
  return std::nullopt;
}

Checked<void> parse_equals(const Call& call, const Schema& schema, RowsQuery& query) {
  for (const auto& [name, text] : call.query) {
    if (!name.starts_with("k.")) continue;
    auto column = column_of(std::string_view(name).substr(2), schema);
    if (!column) return std::unexpected(column.error());
    const Type& type = schema.columns[*column].type;
    auto value = value_of(type, text);
    if (!value)
      return refuse(400, "invalid_parameter", "`" + name + "` does not read as " + type.to_text() + ": `" + text + "`");
    query.equals.emplace_back(*column, std::move(*value));
  }
  return {};
}

// `frontier.place.fingerprint`, the place a number of rows or `k` and a key; readers must not take it apart.
std::string cursor_text(const Frontier& at, const std::string& place, std::uint64_t fingerprint) {
  return fmt::format("{}.{}.{:016x}", frontier_text(at), place, fingerprint);
}

std::string place_of(const Key& key) { return fmt::format("k{:016x}{:016x}", key.hi, key.lo); }

std::optional<std::uint64_t> whole_number(std::string_view part, int base) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, base);
  return error == std::errc() && end == part.data() + part.size() ? std::optional(value) : std::nullopt;
}

bool parse_place(std::string_view text, RowsQuery& query) {
  if (text.starts_with('k') && text.size() == 33) {
    auto high = whole_number(text.substr(1, 16), 16);
    auto low = whole_number(text.substr(17), 16);
    if (high && low) query.after = Key{*high, *low};
    return high && low;
  }
  auto position = whole_number(text, 10);
  query.position = position.value_or(0);
  return position.has_value();
}

Checked<void> parse_cursor(const std::string& text, RowsQuery& query) {
  auto bad = [] { return refuse(400, "invalid_cursor", "the cursor is not one of ours"); };
  std::size_t first = text.find('.');
  std::size_t second = first == std::string::npos ? first : text.find('.', first + 1);
  if (second == std::string::npos) return bad();
  std::string_view at_text = std::string_view(text).substr(0, first);
  auto at = at_text == "done" ? std::optional<std::uint64_t>(0) : whole_number(at_text, 10);
  auto fingerprint = whole_number(std::string_view(text).substr(second + 1), 16);
  if (!at || !fingerprint || !parse_place(std::string_view(text).substr(first + 1, second - first - 1), query))
    return bad();
  if (*fingerprint != query.fingerprint)
    return refuse(400, "invalid_cursor", "the cursor belongs to another query: only `limit` may change between pages");
  query.at = Frontier{*at, at_text == "done"};
  return {};
}

std::uint64_t fingerprint_of(const Call& call) {
  std::string all;
  for (const auto& [name, value] : call.query)
    if (name != "cursor" && name != "limit" && name != "min_frontier") all += name + '\0' + value + '\0';
  return key_of_bytes(all).lo;
}

// ---------------------------------------------------------------- running

class DroppedErrors : public expr::RowErrors {
 public:
  // A row whose condition is an ERROR is not shown, as a filter would not pass it on.
  void report(std::size_t, SourceSpan, std::string_view) override {}
};

struct RowRef {
  std::uint32_t batch = 0;
  std::uint32_t row = 0;
};

// Which rows of a snapshot the query wants, in the order of the scan.
class Scan {
 public:
  Scan(const RowsQuery& query, const Schema& schema, std::shared_ptr<const expr::Program> where)
      : query_(query), schema_(schema), where_(std::move(where)) {}

  // Calls back for each row that fits; `take` returns false to stop.
  template <class Take>
  bool batch(Batch& batch, Take take) const {
    std::vector<Column> condition;
    if (where_) {
      if (where_->uses_key()) batch.materialise_keys();
      DroppedErrors errors;
      condition = where_->run(batch, errors);
    }
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (where_ && !(condition[0].is_value(row) && condition[0].u8()[row] != 0)) continue;
      if (!equals(batch, row)) continue;
      if (!take(row)) return false;
    }
    return true;
  }

 private:
  bool equals(const Batch& batch, std::uint32_t row) const {
    return std::all_of(query_.equals.begin(), query_.equals.end(), [&](const auto& wanted) {
      return batch.columns[wanted.first].value(schema_.columns[wanted.first].type, row) == wanted.second;
    });
  }
  const RowsQuery& query_;
  const Schema& schema_;
  std::shared_ptr<const expr::Program> where_;
};

net::HttpResponse page_response(const Frontier& frontier, std::string body) {
  net::HttpResponse response = json_response(std::move(body));
  response.headers.add("X-Thalweg-Frontier", frontier_text(frontier));
  return response;
}

// The head of a page; rows and end follow.
void begin_page(const Frontier& frontier, JsonWriter& json) {
  json.begin_object().key("frontier");
  append_frontier(frontier, json);
  json.key("rows").begin_array();
}

Answer lookup(const RowsQuery& query, ExportReader& reader, const Key& key) {
  auto found = reader.lookup(key);
  if (!found) return std::unexpected(problem_of(found.error()));
  std::string body;
  JsonWriter json(body);
  begin_page(found->frontier, json);
  if (found->row && found->row->num_rows > 0) {
    Batch row = *found->row;
    if (query.row.with_key) {
      row.materialise_keys();
      if (row.keys.absent()) row.keys = KeyColumn(std::vector<Key>(row.num_rows, key));
    }
    RowJson writer(reader.schema(), query.row);
    writer.append_object(row, 0, json);
  }
  json.end_array().end_object();
  return page_response(found->frontier, std::move(body));
}

// The key itself, or the columns that make it and no other condition.
std::optional<Key> index_key(const RowsQuery& query, const std::vector<std::uint32_t>& key_columns) {
  if (query.at || query.where) return std::nullopt;
  if (query.key) return query.equals.empty() ? query.key : std::nullopt;
  if (key_columns.empty() || query.equals.size() != key_columns.size()) return std::nullopt;
  std::vector<Value> values;
  for (std::uint32_t column : key_columns) {
    auto at = std::find_if(query.equals.begin(), query.equals.end(), [&](const auto& e) { return e.first == column; });
    if (at == query.equals.end()) return std::nullopt;
    values.push_back(at->second);
  }
  return key_of_values(values);
}

// All rows of an index entry, if they are one page; else the caller goes the long way.
std::optional<Answer> from_index(const RowsQuery& query, ExportReader& reader) {
  if (query.at || query.where || query.key || query.after || query.equals.empty() || !query.order_by.empty())
    return std::nullopt;
  std::vector<std::uint32_t> columns;
  std::vector<Value> values;
  for (const auto& [column, value] : query.equals) {
    columns.push_back(column);
    values.push_back(value);
  }
  auto found = reader.find_rows(columns, values);
  if (!found) return Answer(std::unexpected(problem_of(found.error())));
  if (!*found) return std::nullopt;
  std::size_t rows = 0;
  for (const Batch& batch : (*found)->batches) rows += batch.num_rows;
  if (rows > query.limit) return std::nullopt;
  RowJson writer(reader.schema(), query.row);
  std::string body;
  JsonWriter json(body);
  begin_page((*found)->frontier, json);
  for (const Batch& batch : (*found)->batches)
    for (std::size_t row = 0; row < batch.num_rows; ++row) writer.append_object(batch, row, json);
  json.end_array().end_object();
  return page_response((*found)->frontier, std::move(body));
}

// Q1's time limit.
struct Deadline {
  Clock& clock;
  std::int64_t end_ns;
  [[nodiscard]] Checked<void> check() const {
    if (clock.monotonic_ns() > end_ns) return refuse(503, "query_timeout", "the query took too long");
    return {};
  }
};

// What a query needs while it runs.
struct Running {
  const RowsQuery& query;
  ExportReader& reader;
  const Scan& scan;
  Deadline deadline;
};

constexpr std::size_t kFirstStepRows = 1024;
constexpr std::size_t kStepGrowth = 16;
constexpr std::size_t kLastStepRows = 100'000;  // after a step of that many: all that is left

// The page in key order. Steps grow, so that a condition which few rows fit costs a handful of passes.
Answer key_order_page(const Running& running, const Frontier& at) {
  const RowsQuery& query = running.query;
  RowJson writer(running.reader.schema(), query.row);
  std::string body;
  JsonWriter json(body);
  begin_page(at, json);
  bool filters = query.where || !query.equals.empty();
  std::size_t step = filters ? std::max<std::size_t>(kFirstStepRows, query.limit + 1) : query.limit + 1;
  std::optional<Key> after = query.after;
  Key last_taken;
  std::uint64_t taken = 0;
  bool more = false;
  for (bool at_end = false; !at_end && !more;) {
    if (auto in_time = running.deadline.check(); !in_time) return std::unexpected(in_time.error());
    auto part = running.reader.page(at, after, step);
    if (!part) return std::unexpected(problem_of(part.error()));
    std::size_t rows = 0;
    for (Batch& batch : part->batches) {
      batch.materialise_keys();
      rows += batch.num_rows;
      if (batch.num_rows > 0) after = batch.keys[batch.num_rows - 1];
      bool all = running.scan.batch(batch, [&](std::uint32_t row) {
        if (taken == query.limit) return false;
        writer.append_object(batch, row, json);
        last_taken = batch.keys[row];
        ++taken;
        return true;
      });
      more = more || !all;
    }
    at_end = rows < step;
    step = step >= kLastStepRows ? SIZE_MAX : step * kStepGrowth;
  }
  json.end_array();
  if (more) json.field("next_cursor", cursor_text(at, place_of(last_taken), query.fingerprint));
  json.end_object();
  return page_response(at, std::move(body));
}

// The row of a key at an older frontier.
Answer row_of_key(const Running& running, const Frontier& at) {
  Key wanted = *running.query.key;
  std::optional<Key> before;
  if (wanted != Key{}) before = Key{wanted.lo == 0 ? wanted.hi - 1 : wanted.hi, wanted.lo - 1};
  auto part = running.reader.page(at, before, 1);
  if (!part) return std::unexpected(problem_of(part.error()));
  std::string body;
  JsonWriter json(body);
  begin_page(at, json);
  RowJson writer(running.reader.schema(), running.query.row);
  for (Batch& batch : part->batches) {
    batch.materialise_keys();
    running.scan.batch(batch, [&](std::uint32_t row) {
      if (batch.keys[row] == wanted) writer.append_object(batch, row, json);
      return true;
    });
  }
  json.end_array().end_object();
  return page_response(at, std::move(body));
}

Answer ordered_page(const Running& running, const Frontier& at) {
  const RowsQuery& query = running.query;
  const Schema& schema = running.reader.schema();
  auto snapshot = running.reader.snapshot(at);
  if (!snapshot) return std::unexpected(problem_of(snapshot.error()));
  std::vector<Batch>& batches = snapshot->batches;
  std::vector<RowRef> all;
  for (std::uint32_t b = 0; b < batches.size(); ++b) {
    if (auto in_time = running.deadline.check(); !in_time) return std::unexpected(in_time.error());
    if (query.row.with_key) batches[b].materialise_keys();
    running.scan.batch(batches[b], [&](std::uint32_t row) {
      all.push_back({b, row});
      return true;
    });
  }
  auto before = [&](const RowRef& x, const RowRef& y) {
    for (const OrderColumn& order : query.order_by) {
      int c = Column::compare_cells(schema.columns[order.column].type, batches[x.batch].columns[order.column], x.row,
                                    batches[y.batch].columns[order.column], y.row);
      if (c != 0) return order.descending ? c > 0 : c < 0;
    }
    return x.batch != y.batch ? x.batch < y.batch : x.row < y.row;  // then in key order
  };
  std::uint64_t end = std::min<std::uint64_t>(all.size(), query.position + query.limit);
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(end), all.end(), before);
  std::string body;
  JsonWriter json(body);
  RowJson writer(schema, query.row);
  begin_page(at, json);
  for (std::uint64_t i = query.position; i < end; ++i) writer.append_object(batches[all[i].batch], all[i].row, json);
  json.end_array();
  if (end < all.size()) json.field("next_cursor", cursor_text(at, std::to_string(end), query.fingerprint));
  json.end_object();
  return page_response(at, std::move(body));
}

}  // namespace

Checked<RowFormat> format_of(const Call& call) {
  const std::string* text = call.find("format");
  if (!text || *text == "json") return RowFormat::kJson;
  if (*text == "jsonl" || *text == "jsonlines" || *text == "ndjson") return RowFormat::kJsonLines;
  if (*text == "csv") return RowFormat::kCsv;
  return refuse(400, "invalid_parameter", "`format` is json, jsonl or csv, not `" + *text + "`");
}

Checked<bool> int64_of(const Call& call) {
  const std::string* text = call.find("int64");
  if (!text || *text == "number") return false;
  if (*text == "string") return true;
  return refuse(400, "invalid_parameter", "`int64` is `string` or `number`, not `" + *text + "`");
}

Checked<RowOptions> parse_row_options(const Call& call, const Schema& schema) {
  RowOptions options = all_columns(schema);
  if (const std::string* select = call.find("select")) {
    options.columns.clear();
    for (std::string_view item : split_list(*select)) {
      if (item == "_key" && !schema.find("_key")) {
        options.with_key = true;
        continue;
      }
      auto column = column_of(item, schema);
      if (!column) return std::unexpected(column.error());
      options.columns.push_back(*column);
    }
  }
  auto int64_as_text = int64_of(call);
  if (!int64_as_text) return std::unexpected(int64_as_text.error());
  options.int64_as_text = *int64_as_text;
  auto keys = call.flag("keys");
  if (!keys) return std::unexpected(keys.error());
  options.with_key = options.with_key || *keys;
  return options;
}

Checked<RowsQuery> parse_rows_query(const Call& call, const Schema& schema) {
  RowsQuery query;
  auto options = parse_row_options(call, schema);
  if (!options) return std::unexpected(options.error());
  query.row = std::move(*options);
  if (const std::string* where = call.find("where")) {
    auto expr = parse_where(*where, schema);
    if (!expr) return std::unexpected(expr.error());
    query.where = *expr;
  }
  if (const std::string* order = call.find("order_by")) {
    auto columns = parse_order(*order, schema);
    if (!columns) return std::unexpected(columns.error());
    query.order_by = std::move(*columns);
  }
  auto equals = parse_equals(call, schema, query);
  if (!equals) return std::unexpected(equals.error());
  if (const std::string* key = call.find("key")) {
    query.key = key_from_text(*key);
    if (!query.key) return refuse(400, "invalid_parameter", "`key` is not a row key: `" + *key + "`");
  }
  auto limit = call.number("limit", kPageRowsDefault, kPageRowsMax);
  if (!limit) return std::unexpected(limit.error());
  if (*limit == 0) return refuse(400, "invalid_parameter", "`limit` is at least 1");
  query.limit = *limit;
  auto at = frontier_parameter(call, "at");
  if (!at) return std::unexpected(at.error());
  query.at = *at;
  query.fingerprint = fingerprint_of(call);
  if (const std::string* cursor = call.find("cursor")) {
    auto parsed = parse_cursor(*cursor, query);
    if (!parsed) return std::unexpected(parsed.error());
  }
  return query;
}

std::optional<Problem> check_reached(const ExportReader& reader, const Frontier& at) {
  Frontier now = reader.frontier();
  if (!frontier_less(now, at)) return std::nullopt;
  return Problem{409,
                 "frontier_not_reached",
                 "the table is at frontier " + frontier_text(now) + ", not yet at " + frontier_text(at),
                 "`min_frontier` waits for it",
                 0,
                 0};
}

Answer run_rows_query(const RowsQuery& query, ExportReader& reader, const std::vector<std::uint32_t>& key_columns,
                      Clock& clock) {
  if (auto key = index_key(query, key_columns)) return lookup(query, reader, *key);
  if (auto answer = from_index(query, reader)) return std::move(*answer);
  if (query.at)
    if (auto problem = check_reached(reader, *query.at)) return std::unexpected(std::move(*problem));
  std::shared_ptr<const expr::Program> where;
  if (query.where) {
    auto program = expr::Program::compile({query.where});
    if (!program) return std::unexpected(problem_of(program.error()));
    where = std::move(*program);
  }
  Scan scan(query, reader.schema(), std::move(where));
  Running running{query, reader, scan, {clock, clock.monotonic_ns() + kQueryNsMax}};
  Frontier at = query.at.value_or(reader.frontier());
  if (query.key) return row_of_key(running, at);
  return query.order_by.empty() ? key_order_page(running, at) : ordered_page(running, at);
}

}  // namespace thalweg::daemon
