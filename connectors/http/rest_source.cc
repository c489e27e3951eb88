#include "connectors/http/rest_source.h"

#include "connectors/http/request_row.h"

namespace thalweg::web {
namespace {

constexpr std::int64_t kSleepNs = 1'000'000'000;
constexpr std::int64_t kGraceNs = 2'000'000'000;

}  // namespace

RestSource::RestSource(const plan::Source& source, std::unique_ptr<WebHost::Route> route,
                       std::shared_ptr<QueryServer> server)
    : fields_(source.fields), route_(std::move(route)), server_(std::move(server)) {}

RestSource::~RestSource() {
  route_->close();
  server_->close(0);
}

Result<void> RestSource::run(SourceContext& context) {
  // A commit without rows: a pipeline that only waits for queries has caught up.
  bool more = deliver({}, context);
  if (more) context.commit();
  while (more && !context.stopping()) {
    const std::vector<QueryServer::Change> changes = server_->take();
    if (changes.empty()) {
      context.idle();
      context.wait(kSleepNs, server_->wake_fd());
      continue;
    }
    more = deliver(changes, context);
    if (more) context.commit();
  }
  route_->close();
  server_->close(kGraceNs);
  return {};
}

bool RestSource::deliver(const std::vector<QueryServer::Change>& changes, SourceContext& context) const {
  BatchBuilder builder(used_columns(fields_));
  for (const QueryServer::Change& change : changes)
    builder.push(change.key, used_cells(fields_, change.cells), change.diff);
  return context.deliver(builder.finish());
}

}  // namespace thalweg::web
