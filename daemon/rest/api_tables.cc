// Handlers about exported tables.
#include "daemon/json_writer.h"
#include "daemon/rest/api.h"
#include "daemon/rest/rows_query.h"
#include "daemon/rest/table_streams.h"

namespace thalweg::daemon {
namespace {

void append_table(const ServedPipeline& pipeline, const ExportReader& reader, JsonWriter& json) {
  json.begin_object().field("name", reader.name()).key("schema").begin_array();
  for (const ColumnSpec& column : reader.schema().columns)
    json.begin_object().field("name", column.name).field("type", column.type.to_text()).end_object();
  json.end_array();
  json.key("key_columns").begin_array();
  for (std::uint32_t column : key_columns(*pipeline.plan, reader.name()))
    json.text(reader.schema().columns[column].name);
  json.end_array();
  json.field("num_rows", reader.num_rows()).key("frontier");
  append_frontier(reader.frontier(), json);
  json.key("oldest");
  append_frontier(reader.oldest(), json);
  json.field("failed", pipeline.run->state() == RunState::kFailed).end_object();
}

// A response whose body is streamed; the stream is made elsewhere and only handed over here.
net::HttpResponse stream_response(std::string_view type, const Frontier& frontier,
                                  std::unique_ptr<net::BodyStream> stream) {
  net::HttpResponse response;
  response.headers.add("Content-Type", std::string(type));
  response.headers.add("Cache-Control", "no-store");
  response.headers.add("X-Thalweg-Frontier", frontier_text(frontier));
  auto holder = std::make_shared<std::unique_ptr<net::BodyStream>>(std::move(stream));
  response.stream = [holder](const std::shared_ptr<net::Waker>&) { return std::move(*holder); };
  return response;
}

}  // namespace

Answer Api::tables(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("tables").begin_array();
  Frontier frontier = (*pipeline)->run->frontier();
  const auto readers = (*pipeline)->run->exports();
  auto page = list_page(call, readers.size());
  if (!page) return std::unexpected(page.error());
  for (std::size_t i = page->first; i < page->last; ++i) append_table(**pipeline, *readers[i], json);
  json.end_array();
  page->append_cursor(json);
  json.end_object();
  return json_response(std::move(body), frontier);
}

Answer Api::table(const Call& call) {
  auto table = table_of(call);
  if (!table) return std::unexpected(table.error());
  std::string body;
  JsonWriter json(body);
  Frontier frontier = table->reader->frontier();
  append_table(*table->pipeline, *table->reader, json);
  return json_response(std::move(body), frontier);
}

Answer Api::rows(const Call& call) {
  auto table = table_of(call);
  if (!table) return std::unexpected(table.error());
  auto query = parse_rows_query(call, table->reader->schema());
  if (!query) return std::unexpected(query.error());
  return run_rows_query(*query, *table->reader, key_columns(*table->pipeline->plan, table->reader->name()),
                        *env_.clock);
}

Answer Api::snapshot(const Call& call) {
  auto table = table_of(call);
  if (!table) return std::unexpected(table.error());
  auto at = frontier_parameter(call, "at");
  if (!at) return std::unexpected(at.error());
  auto format = format_of(call);
  if (!format) return std::unexpected(format.error());
  auto options = parse_row_options(call, table->reader->schema());
  if (!options) return std::unexpected(options.error());
  if (*at)
    if (auto problem = check_reached(*table->reader, **at)) return std::unexpected(std::move(*problem));
  auto snapshot = table->reader->snapshot(*at);
  if (!snapshot) return std::unexpected(problem_of(snapshot.error()));
  Frontier frontier = snapshot->frontier;
  return stream_response(media_type(*format), frontier,
                         snapshot_stream(std::move(*snapshot), table->reader->schema(), std::move(*options), *format));
}

Answer Api::diff(const Call& call) {
  auto table = table_of(call);
  if (!table) return std::unexpected(table.error());
  auto from = frontier_parameter(call, "from");
  if (!from) return std::unexpected(from.error());
  if (!*from) return refuse(400, "missing_parameter", "`from` is missing: the frontier to start at");
  auto to = frontier_parameter(call, "to");
  if (!to) return std::unexpected(to.error());
  auto format = format_of(call);
  if (!format) return std::unexpected(format.error());
  auto options = parse_row_options(call, table->reader->schema());
  if (!options) return std::unexpected(options.error());
  DiffRange range{**from, to->value_or(table->reader->frontier())};
  if (auto problem = check_reached(*table->reader, range.to)) return std::unexpected(std::move(*problem));
  if (frontier_less(range.to, range.from))
    return refuse(400, "invalid_parameter",
                  "`from` (" + frontier_text(range.from) + ") is beyond `to` (" + frontier_text(range.to) + ")");
  auto changes = table->reader->diff(range.from, range.to);
  if (!changes) return std::unexpected(problem_of(changes.error()));
  return stream_response(
      media_type(*format), range.to,
      diff_stream(std::move(*changes), range, table->reader->schema(), std::move(*options), *format));
}

Answer Api::changes(const Call& call) {
  auto table = table_of(call);
  if (!table) return std::unexpected(table.error());
  auto options = parse_row_options(call, table->reader->schema());
  if (!options) return std::unexpected(options.error());
  auto snapshot = call.flag("snapshot");
  if (!snapshot) return std::unexpected(snapshot.error());
  Call resumed = call;
  if (const std::string* last = call.request->headers.find("Last-Event-ID"); last && !last->empty()) {
    std::erase_if(resumed.query, [](const auto& pair) { return pair.first == "from"; });
    resumed.query.emplace_back("from", *last);
  }
  auto from = frontier_parameter(resumed, "from");
  if (!from) return std::unexpected(from.error());
  if (*from && (*from)->done) {
    net::HttpResponse nothing_more;  // an EventSource does not come back after this
    nothing_more.status = 204;
    return nothing_more;
  }
  net::HttpResponse response;
  response.headers.add("Content-Type", "text/event-stream");
  response.headers.add("Cache-Control", "no-store");
  response.headers.add("X-Accel-Buffering", "no");
  response.headers.add("X-Thalweg-Frontier", frontier_text(table->reader->frontier()));
  ChangesOptions changes{.row = std::move(*options), .snapshot = *snapshot, .from = *from};
  response.stream = [pipeline = table->pipeline, reader = table->reader, changes](std::shared_ptr<net::Waker> waker) {
    return changes_stream(pipeline, reader, changes, std::move(waker));
  };
  return response;
}

}  // namespace thalweg::daemon
