#include "engine/runtime/recording.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace thalweg {

Result<std::unique_ptr<Recording>> Recording::open(const std::shared_ptr<Disk>& disk, const std::string& directory) {
  if (!disk->stat(directory + "/elog"))
    return fail(Code::kNotFound, fmt::format("there is no recording in '{}'", directory));
  auto out = std::make_unique<Recording>();
  out->log_ = TRY(durable::EpochLog::open(disk, directory + "/elog"));
  for (std::size_t i = 0; i < out->commits(); ++i) {
    auto replay = TRY(out->read(i));
    for (const SourceMark& mark : replay->record.marks) {
      End& end = out->ends_[mark.source];
      end.position = mark.position;
      for (const auto& [name, blob] : mark.puts) {
        if (blob)
          end.blobs[name] = blob;
        else
          end.blobs.erase(name);
      }
    }
  }
  return out;
}

Result<std::unique_ptr<CommitReplay>> Recording::read(std::size_t commit) const {
  std::string bytes = TRY(log_->read(log_->found()[commit]));
  auto out = TRY(decode_commit(std::move(bytes)));
  if (out->record.by_snapshot)
    return fail(Code::kBadData, fmt::format("commit {} is not in this log: it is no recording, but the state of a "
                                            "pipeline that keeps one",
                                            out->record.time));
  return out;
}

Result<std::unique_ptr<CommitReplay>> Recording::read_all() {
  auto out = std::make_unique<CommitReplay>();
  for (std::size_t i = 0; i < commits(); ++i) {
    auto part = TRY(read(i));
    CommitRecord& record = out->record;
    if (i == 0) record.time = part->record.time;
    if (part->record.has_script) record.time = part->record.time;
    record.wall_ns = part->record.wall_ns;
    record.is_end = part->record.is_end;
    record.has_script = record.has_script || part->record.has_script;
    record.takes_input = true;
    std::ranges::move(part->rows, std::back_inserter(out->rows));
    std::ranges::move(part->bad, std::back_inserter(out->bad));
    for (auto& [node, questions] : part->answers)
      for (auto& [question, answers] : questions)
        std::ranges::move(answers, std::back_inserter(out->answers[node][question]));
    parts_.push_back(std::move(part));
  }
  return out;
}

}  // namespace thalweg
