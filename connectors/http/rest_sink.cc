#include "connectors/http/rest_sink.h"

#include "connectors/formats/encode.h"
#include "connectors/http/problem.h"

namespace thalweg::web {

Result<void> RestSink::open(const SinkContext& context) {
  schema_ = context.schema;
  if (schema_.size() != 2) return fail(Code::kInvalidPipeline, "a response has a result and whether it was computed");
  return {};
}

Result<void> RestSink::write(std::uint64_t /*commit*/, const Batch& given) {
  Batch batch = given;
  batch.materialise_keys();
  if (batch.keys.absent()) return fail(Code::kInternal, "results came without their keys");
  PendingQueries& queries = pending_queries();
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    if (batch.diff(row) <= 0) continue;
    if (batch.columns[1].tag(row) == CellTag::kNone) {
      (void)queries.refuse(batch.keys[row], problem(500, "data_error", "the answer could not be computed"));
      continue;
    }
    std::string body;
    append_json_cell(schema_.columns[0].type, batch.columns[0], row, body);
    (void)queries.answer(batch.keys[row], std::move(body));
  }
  return {};
}

Result<void> RestSink::end(std::uint64_t /*commit*/) { return {}; }
Result<void> RestSink::close(bool /*complete*/) { return {}; }

}  // namespace thalweg::web
