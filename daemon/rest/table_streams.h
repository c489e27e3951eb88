// daemon/rest/table_streams.h
//
// Bodies that are longer than a piece: a snapshot, a diff, and the changes of a table as server-sent events. Each
// writes the next piece when the reader has taken the last one; none keeps what it has not written yet as text.
#pragma once

#include <memory>
#include <optional>

#include "connectors/net/http_message.h"
#include "daemon/rest/row_json.h"
#include "daemon/rest/pipelines.h"
#include "engine/runtime/run.h"

namespace thalweg::daemon {

// {"frontier": …, "rows": […]}, a row a line, or CSV with a header.
[[nodiscard]] std::unique_ptr<net::BodyStream> snapshot_stream(ExportReader::Snapshot snapshot, const Schema& schema,
                                                               RowOptions options, RowFormat format);

struct DiffRange {
  Frontier from;
  Frontier to;
};
// {"from": …, "to": …, "changes": [{"time", "diff", "_key", "row"}]}, a change a line, or CSV with `_time,_diff`.
[[nodiscard]] std::unique_ptr<net::BodyStream> diff_stream(std::vector<ExportReader::Change> changes, DiffRange range,
                                                           const Schema& schema, RowOptions options, RowFormat format);

struct ChangesOptions {
  RowOptions row;
  bool snapshot = false;         // begin with the rows as they are
  std::optional<Frontier> from;  // resume there; nothing: from now on
};
// Events: `snapshot` {"_key", "row"} per row; `update` {"time", "diff", "_key", "row"}; `progress` (its id is the
// frontier to resume from) after every commit; `reset` when the history to resume from is gone, followed by a new
// snapshot if one was asked for; `end` {"state"} when nothing more will come.
[[nodiscard]] std::unique_ptr<net::BodyStream> changes_stream(std::shared_ptr<ServedPipeline> pipeline,
                                                              std::shared_ptr<ExportReader> reader,
                                                              ChangesOptions options,
                                                              std::shared_ptr<net::Waker> waker);

}  // namespace thalweg::daemon
