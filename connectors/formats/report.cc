#include "connectors/formats/report.h"

#include "engine/types/from_text.h"

namespace thalweg {

Result<void> BadRowPolicy::open_dead_letters(Env& env, const std::string& path) {
  if (auto slash = path.rfind('/'); slash != std::string::npos && slash > 0)
    TRY(env.disk->make_directories(path.substr(0, slash)));
  auto file = env.disk->open_write(path, Disk::WriteMode::kAppend);
  if (!file) return fail(std::move(file.error()).with_note("this is the `dead_letter` file"));
  std::lock_guard lock(mutex_);
  dead_letters_ = std::move(*file);
  return {};
}

void BadRowPolicy::apply(BadRecord& record) {
  if (record.raw.size() > BadRecord::kRawBytesMax) record.raw.resize(BadRecord::kRawBytesMax);
  if (action_ == Action::kFail) {
    record.fatal = true;
    failed_.store(true, std::memory_order_relaxed);
    return;
  }
  if (action_ != Action::kSkip) write_dead_letter(record);
}

void BadRowPolicy::write_dead_letter(const BadRecord& record) {
  std::lock_guard lock(mutex_);
  if (!dead_letters_) return;
  std::string line = "{\"raw\":" + json_quoted(record.raw) + ",\"reason\":" + json_quoted(record.message) +
                     ",\"source\":" + json_quoted(source_) + ",\"position\":" + json_quoted(record.position) +
                     ",\"kind\":" + (record.kind == BadRecord::Kind::kValue ? "\"value\"" : "\"record\"") + "}\n";
  if (auto written = dead_letters_->append(line); !written) {
    write_error_ = written.error().message;
    dead_letters_.reset();
  }
}

std::string BadRowPolicy::take_write_error() {
  std::lock_guard lock(mutex_);
  return std::exchange(write_error_, {});
}

void Reporter::bad(BadRecord record) {
  policy_.apply(record);
  out_.bad_record(std::move(record));
}

}  // namespace thalweg
