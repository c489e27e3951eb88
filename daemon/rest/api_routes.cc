// The routes: one row each.
#include "daemon/rest/api.h"

namespace thalweg::daemon {
namespace {

constexpr std::string_view kJson = "application/json";

constexpr QueryParameter kInt64{"int64", "string", "`string`: ints beyond 2^53 as text", "string"};
constexpr QueryParameter kSelect{"select", "string", "columns, comma-separated, `_key` among them; default: all",
                                 "word,n"};
constexpr QueryParameter kAt{"at", "string", "the state of all commits below this frontier; `done`: the end", "12"};
constexpr QueryParameter kMinFrontier{"min_frontier", "string",
                                      "waits until the table has reached this frontier (at most 30 s)", "12"};
constexpr QueryParameter kFormat{"format", "string", "json, jsonl or csv", "jsonl"};

constexpr QueryParameter kDryRun{"dry_run", "boolean", "true: only says what would be kept, rebuilt and corrected"};
constexpr QueryParameter kAccept{"accept", "boolean", "true: also where outputs can only go on from now on"};

}  // namespace

const std::vector<Route>& Api::routes() {
  static const std::vector<Route> kRoutes = {
      {"GET", "/", "index", "A page that shows the pipelines", "text/html", {}, &Api::index},
      {"GET", "/healthz", "health", "The process lives", kJson, {}, &Api::health, Role::kNone},
      {"GET", "/readyz", "ready", "Every pipeline has caught up with what it found at start; 503 until then", kJson,
       {}, &Api::ready, Role::kNone},
      {"GET", "/metrics", "metrics", "Prometheus text", "text/plain", {}, &Api::metrics},
      {"GET", "/version", "version", "Version of this server", kJson, {}, &Api::version},
      {"GET", "/openapi.json", "openapi", "This description", kJson, {}, &Api::openapi},
      {"GET", "/docs", "docs", "The routes, to read", "text/html", {}, &Api::docs},
      {"GET", "/api/v1/pipelines", "listPipelines", "All pipelines with their state", kJson, {}, &Api::list_pipelines},
      {"GET", "/api/v1/pipelines/{p}", "getPipeline", "State, frontier, errors of a pipeline", kJson, {},
       &Api::pipeline},
      {"GET", "/api/v1/pipelines/{p}/graph", "getGraph", "Operators and edges with live counters", kJson, {},
       &Api::graph},
      {"GET", "/api/v1/pipelines/{p}/frontier", "getFrontier", "Input and output frontier", kJson, {},
       &Api::frontier},
      {"GET", "/api/v1/pipelines/{p}/errors", "listErrors", "The newest errors, oldest first", kJson,
       {{"limit", "integer", "at most so many (1 to 1000, default 100)", "20"}}, &Api::errors},
      {"GET", "/api/v1/pipelines/{p}/connectors", "listConnectors", "Rows, bytes, errors of every connector", kJson,
       {}, &Api::connectors},
      {"GET", "/api/v1/pipelines/{p}/guarantees", "listGuarantees", "What each output promises about delivery", kJson,
       {}, &Api::guarantees},
      {"GET", "/api/v1/pipelines/{p}/checkpoints", "listCheckpoints", "Checkpoints of the state; `persistence` is false where none are taken",
       kJson, {}, &Api::checkpoints},
      {"GET", "/api/v1/pipelines/{p}/tables", "listTables", "Exported tables", kJson, {}, &Api::tables},
      {"GET", "/api/v1/pipelines/{p}/tables/{t}", "getTable", "Schema, row count, frontier of a table", kJson, {},
       &Api::table},
      {"GET", "/api/v1/pipelines/{p}/tables/{t}/rows", "listRows",
       "A page of rows at one frontier, or the row of a key", kJson,
       {kSelect,
        {"where", "string", "an expression over the columns", "n > 10 and word != 'a'"},
        {"order_by", "string", "columns, comma-separated; `-n` or `n desc` is descending; default: by key", "-n,word"},
        {"limit", "integer", "rows of a page (1 to 10000, default 100)", "20"},
        {"cursor", "string", "`next_cursor` of the page before"},
        kAt,
        kMinFrontier,
        {"key", "string", "the row with this key, from the index", "^7K8WAF7TFN4JH9S7Q2X7T1M6XR"},
        {"k.", "string", "the row whose column has this value; from the index if it is the key"},
        {"keys", "boolean", "true: `_key` in every row"},
        kInt64},
       &Api::rows},
      {"GET", "/api/v1/pipelines/{p}/tables/{t}/snapshot", "getSnapshot",
       "The whole table with row keys at one frontier, streamed", kJson, {kAt, kFormat, kMinFrontier, kSelect, kInt64},
       &Api::snapshot},
      {"GET", "/api/v1/pipelines/{p}/tables/{t}/diff", "getDiff", "What changed in [from, to), streamed", kJson,
       {{"from", "string", "frontier to start at", "4"},
        {"to", "string", "frontier to end before; default: the newest", "12"},
        kFormat, kMinFrontier, kSelect, kInt64},
       &Api::diff},
      {"GET", "/api/v1/pipelines/{p}/tables/{t}/changes", "watchChanges",
       "Server-sent events: a snapshot if asked for, then every update with its time and diff, and the progress",
       "text/event-stream",
       {{"snapshot", "boolean", "true: begin with the rows as they are"},
        {"from", "string", "begin at this frontier; the header Last-Event-ID wins"},
        kSelect, kInt64},
       &Api::changes},
      {"PUT", "/api/v1/pipelines/{p}", "putPipeline", "A new pipeline, or a new definition: switched at one commit, or left as it was",
       kJson, {kDryRun, kAccept}, &Api::put_pipeline, Role::kAdmin, "application/yaml", "the pipeline file"},
      {"DELETE", "/api/v1/pipelines/{p}", "deletePipeline", "Stops a pipeline in order and removes its file", kJson, {},
       &Api::delete_pipeline, Role::kAdmin},
      {"GET", "/api/v1/pipelines/{p}/definition", "getDefinition", "The pipeline file as it runs", "application/yaml", {},
       &Api::definition, Role::kOperate},
      {"POST", "/api/v1/pipelines/{p}/reload", "reloadPipeline", "Reads the pipeline's file anew; answers with the outcome", kJson,
       {kDryRun, kAccept}, &Api::reload, Role::kOperate},
      {"POST", "/api/v1/pipelines/{p}/pause", "pausePipeline", "No further input is taken", kJson, {}, &Api::pause, Role::kOperate},
      {"POST", "/api/v1/pipelines/{p}/resume", "resumePipeline", "A paused pipeline goes on", kJson, {}, &Api::resume, Role::kOperate},
      {"POST", "/api/v1/pipelines/{p}/start", "startPipeline", "Starts a stopped, ended or failed pipeline", kJson, {}, &Api::start,
       Role::kOperate},
      {"POST", "/api/v1/pipelines/{p}/stop", "stopPipeline", "Stops in order, until it is started again", kJson, {}, &Api::stop,
       Role::kOperate},
      {"POST", "/api/v1/pipelines/{p}/checkpoint", "checkpointPipeline", "Writes the state down now", kJson, {}, &Api::checkpoint,
       Role::kOperate},
      {"POST", "/api/v1/pipelines/{p}/rollback", "rollbackPipeline", "Back to the definition before the last change", kJson,
       {kDryRun, kAccept}, &Api::rollback, Role::kAdmin},
      {"POST", "/api/v1/reload", "reloadAll", "Reads all files anew; one outcome per pipeline", kJson, {kDryRun, kAccept},
       &Api::reload_all, Role::kOperate},
      {"GET", "/api/v1/reloads", "listReloads", "Outcomes of the newest changes, oldest first", kJson,
       {{"limit", "integer", "at most so many (1 to 200, default 50)", "20"}}, &Api::reloads},
      {"POST", "/api/v1/query", "query", "One SELECT over exported tables of a pipeline, all at one frontier", kJson,
       {kFormat, kInt64}, &Api::query, Role::kRead, kJson,
       "{\"pipeline\": name (may be left out where there is only one), \"sql\": text, \"at\": frontier, \"limit\": rows}"},
  };
  return kRoutes;
}

}  // namespace thalweg::daemon
