// daemon/rest/rows_query.h
//
// A page of rows of one exported table at one frontier: filtered, ordered, cut.
//
// Q1  A lookup by key, by all columns that make the key, or by those of an `index:` is answered from the index; pages
// in key order take what
//     they need in growing steps; an order of its own needs one snapshot. All within a time limit.
// Q2  A cursor holds the frontier of its first page, so all pages show one state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rest/api.h"
#include "daemon/rest/row_json.h"
#include "engine/plan/expr.h"

namespace thalweg::daemon {

inline constexpr std::uint64_t kPageRowsDefault = 100;
inline constexpr std::uint64_t kPageRowsMax = 10'000;
inline constexpr std::int64_t kQueryNsMax = 10'000'000'000;

struct OrderColumn {
  std::uint32_t column = 0;
  bool descending = false;
};

struct RowsQuery {
  RowOptions row;
  plan::ExprPtr where;
  std::vector<OrderColumn> order_by;
  std::vector<std::pair<std::uint32_t, Value>> equals;  // k.column=value
  std::optional<Key> key;
  std::uint64_t limit = kPageRowsDefault;
  std::uint64_t position = 0;  // from the cursor: rows of an order of its own that earlier pages took
  std::optional<Key> after;    // from the cursor: the last key of the page before
  std::optional<Frontier> at;
  std::uint64_t fingerprint = 0;  // of everything a cursor must agree with
};

[[nodiscard]] Checked<RowsQuery> parse_rows_query(const Call& call, const Schema& schema);
[[nodiscard]] Checked<RowOptions> parse_row_options(const Call& call, const Schema& schema);
// `key_columns`: what the table's keys are made of, if that is known.
[[nodiscard]] Answer run_rows_query(const RowsQuery& query, ExportReader& reader,
                                    const std::vector<std::uint32_t>& key_columns, Clock& clock);

// `format=` and `int64=`.
[[nodiscard]] Checked<RowFormat> format_of(const Call& call);
[[nodiscard]] Checked<bool> int64_of(const Call& call);

// A problem if the table has not got there; snapshots of the future do not exist.
[[nodiscard]] std::optional<Problem> check_reached(const ExportReader& reader, const Frontier& at);

}  // namespace thalweg::daemon
