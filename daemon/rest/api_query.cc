// Ad-hoc SQL.
#include <nlohmann/json.hpp>

#include "daemon/json_writer.h"
#include "daemon/query/ad_hoc.h"
#include "daemon/rest/api.h"
#include "daemon/rest/rows_query.h"
#include "daemon/rest/table_streams.h"

namespace thalweg::daemon {
namespace {

constexpr std::uint64_t kQueryRowsMax = 100'000;

struct Posted {
  std::string pipeline;  // empty: the only one
  SqlQuery query;
};

Checked<std::optional<Frontier>> frontier_asked(const nlohmann::json& value) {
  if (value.is_null()) return std::nullopt;
  if (value.is_number_unsigned()) return Frontier{value.get<std::uint64_t>(), false};
  if (value.is_object() && value.size() == 1) {
    if (value.contains("done") && value["done"] == true) return Frontier{0, true};
    if (value.contains("at")) return frontier_asked(value["at"]);
  }
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text == "done") return Frontier{0, true};
    nlohmann::json number = nlohmann::json::parse(text, nullptr, false);
    if (number.is_number_unsigned()) return Frontier{number.get<std::uint64_t>(), false};
  }
  return refuse(400, "invalid_body", "`at` is a frontier: a whole number or \"done\"");
}

Checked<Posted> read_body(const std::string& text) {
  nlohmann::json body = nlohmann::json::parse(text, nullptr, false);
  if (!body.is_object())
    return refuse(400, "invalid_body", "the body is a JSON object: {\"pipeline\", \"sql\", \"at\"}");
  Posted out;
  for (const auto& [name, value] : body.items()) {
    if (name == "pipeline" && value.is_string()) {
      out.pipeline = value.get<std::string>();
    } else if (name == "sql" && value.is_string()) {
      out.query.sql = value.get<std::string>();
    } else if (name == "at") {
      auto at = frontier_asked(value);
      if (!at) return std::unexpected(at.error());
      out.query.at = *at;
    } else if (name == "limit" && value.is_number_unsigned() && value <= kQueryRowsMax && value > 0) {
      out.query.rows_max = value.get<std::uint64_t>();
    } else if (name == "limit") {
      return refuse(400, "invalid_body", "`limit` is a whole number from 1 to " + std::to_string(kQueryRowsMax));
    } else if (name == "pipeline" || name == "sql") {
      return refuse(400, "invalid_body", "`" + name + "` is a text");
    } else {
      return refuse(400, "unknown_parameter", "unknown field `" + name + "`",
                    suggestion(name, {"pipeline", "sql", "at", "limit"}));
    }
  }
  if (out.query.sql.empty()) return refuse(400, "missing_parameter", "`sql` is missing: one SELECT statement");
  return out;
}

std::string json_body(const SqlAnswer& answer, const RowJson& rows) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("frontier");
  append_frontier(answer.frontier, json);
  json.key("columns").begin_array();
  for (const ColumnSpec& column : answer.schema.columns)
    json.begin_object().field("name", column.name).field("type", column.type.to_text()).end_object();
  json.end_array().key("rows").begin_array();
  for (std::size_t row = 0; row < answer.rows.num_rows; ++row) rows.append_object(answer.rows, row, json);
  json.end_array().field("truncated", answer.truncated).end_object();
  return body;
}

std::string lines_body(const SqlAnswer& answer, const RowJson& rows, RowFormat format) {
  std::string body;
  if (format == RowFormat::kCsv) rows.append_csv_header(body);
  for (std::size_t row = 0; row < answer.rows.num_rows; ++row) {
    if (format == RowFormat::kCsv) {
      rows.append_csv(answer.rows, row, body);
      continue;
    }
    JsonWriter json(body);
    rows.append_object(answer.rows, row, json);
    body += "\n";
  }
  return body;
}

net::HttpResponse response_of(const SqlAnswer& answer, RowFormat format, bool int64_as_text) {
  RowOptions options = all_columns(answer.schema);
  options.int64_as_text = int64_as_text;
  RowJson rows(answer.schema, std::move(options));
  net::HttpResponse response;
  if (format == RowFormat::kJson) {
    response = json_response(json_body(answer, rows));
  } else {
    response.headers.add("Content-Type", std::string(media_type(format)));
    response.headers.add("Cache-Control", "no-store");
    response.body = lines_body(answer, rows, format);
  }
  response.headers.add("X-Thalweg-Frontier", frontier_text(answer.frontier));
  if (answer.truncated) response.headers.add("X-Thalweg-Truncated", "true");
  return response;
}

// Counts a running query.
class Slot {
 public:
  Slot(std::atomic<std::uint32_t>& running, std::uint32_t max) : running_(running), free_(running.fetch_add(1) < max) {}
  ~Slot() { --running_; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  [[nodiscard]] bool free() const { return free_; }

 private:
  std::atomic<std::uint32_t>& running_;
  const bool free_;
};

}  // namespace

Answer Api::query(const Call& call) {
  auto format = format_of(call);
  if (!format) return std::unexpected(format.error());
  auto int64_as_text = int64_of(call);
  if (!int64_as_text) return std::unexpected(int64_as_text.error());
  auto posted = read_body(call.request->body);
  if (!posted) return std::unexpected(posted.error());
  auto pipeline = running_pipeline(posted->pipeline);
  if (!pipeline) return std::unexpected(pipeline.error());
  Slot slot(queries_, options_.queries_max);
  if (!slot.free()) return refuse(503, "too_many_queries", "too many queries are running; ask again");
  auto answer = run_sql(posted->query, **pipeline, options_.query, env_);
  if (!answer) return std::unexpected(answer.error());
  return response_of(*answer, *format, *int64_as_text);
}

}  // namespace thalweg::daemon
