#include "connectors/formats/report.h"

#include "config/decode.h"

namespace thalweg {

Result<void> BadRowPolicy::check_dead_letters(Env& env, const std::string& path) {
  if (!config::is_path(path)) return {};  // the name of a table: the engine feeds it
  if (auto slash = path.rfind('/'); slash != std::string::npos && slash > 0)
    TRY(env.disk->make_directories(path.substr(0, slash)));
  auto file = env.disk->open_write(path, Disk::WriteMode::kAppend);
  if (!file) return fail(std::move(file.error()).with_note("this is the `dead_letter` file"));
  return {};
}

void BadRowPolicy::apply(BadRecord& record) {
  if (record.raw.size() > BadRecord::kRawBytesMax) record.raw.resize(BadRecord::kRawBytesMax);
  if (action_ != Action::kFail) return;
  record.fatal = true;
  failed_.store(true, std::memory_order_relaxed);
}

void Reporter::bad(BadRecord record) {
  policy_.apply(record);
  out_.bad_record(std::move(record));
}

}  // namespace thalweg
