#include "connectors/http/table_sink.h"

namespace thalweg::web {

Result<void> TableSink::open(const SinkContext& /*context*/) {
  route_ = TRY(web_->add(spec_));
  return {};
}

Result<void> TableSink::close(bool /*complete*/) {
  route_.reset();
  return {};
}

}  // namespace thalweg::web
