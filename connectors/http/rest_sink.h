// connectors/http/rest_sink.h
//
// `io.http.rest_response`: answers the queries whose keys its rows have. Columns: the result, and one that is None
// where the result is an ERROR, which is answered 500.
#pragma once

#include "connectors/http/query_server.h"
#include "engine/io/sink.h"

namespace thalweg::web {

class RestSink final : public Sink {
 public:
  Result<void> open(const SinkContext& context) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;

 private:
  Schema schema_;
};

}  // namespace thalweg::web
