#include "connectors/generator/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "connectors/setting_reader.h"

namespace thalweg {

namespace {

constexpr std::int64_t kReplaySecond = 1'000'000'000;

// Rows of decoded blocks, and what was wrong with others.
class Collected final : public RowSink {
 public:
  explicit Collected(SourceContext& context) : context_(context) {}
  void rows(Batch batch) override { batches.push_back(std::move(batch)); }
  void bad_record(BadRecord record) override { context_.bad_record(std::move(record)); }
  std::vector<Batch> batches;

 private:
  SourceContext& context_;
};

double unit_ns_of(const std::string& unit) {
  if (unit == "ms") return 1e6;
  if (unit == "us") return 1e3;
  if (unit == "ns") return 1;
  return 1e9;
}

}  // namespace

std::int64_t ReplaySource::due_ns(const Batch& batch, std::size_t row) {
  if (!time_column_) return static_cast<std::int64_t>(static_cast<double>(played_) / settings_.rate * kReplaySecond);
  const Column& column = batch.columns[*time_column_];
  if (!column.is_value(row)) return last_due_ns_;
  Value value = column.value(time_type_, row);
  double at = value.tag() == Value::Tag::kFloat ? value.as_float() : static_cast<double>(value.as_int());
  if (!time_type_.is_datetime()) at *= settings_.unit_ns;
  if (!first_time_) first_time_ = at;
  // Times that go back do not make the stream wait.
  last_due_ns_ = std::max(last_due_ns_, static_cast<std::int64_t>((at - *first_time_) / settings_.speedup));
  return last_due_ns_;
}

bool ReplaySource::deliver_rows(SourceContext& context, const Batch& batch, std::size_t begin, std::size_t end) {
  if (begin == end) return true;
  Batch part = batch.slice(begin, end);
  if (drop_time_) part.columns.erase(part.columns.begin() + static_cast<std::ptrdiff_t>(*time_column_));
  if (!context.deliver(std::move(part))) return false;
  context.commit(std::to_string(played_));  // the row after these
  return true;
}

bool ReplaySource::play(SourceContext& context, const Batch& batch) {
  Clock& clock = *context.env().clock;
  std::size_t sent = 0;
  for (std::size_t row = 0; row < batch.num_rows; ++row, ++played_) {
    std::int64_t now = clock.monotonic_ns();
    if (played_ < skipped_) {
      // An earlier run has played it; what follows is as far apart from it as ever.
      began_ns_ = now - due_ns(batch, row);
      sent = row + 1;
      continue;
    }
    std::int64_t due = began_ns_ + due_ns(batch, row);
    if (due <= now) continue;
    if (!deliver_rows(context, batch, sent, row)) return false;
    sent = row;
    context.idle();
    if (!context.wait(std::max(due - now, settings_.commit_ns))) return false;
  }
  return deliver_rows(context, batch, sent, batch.num_rows);
}

Result<void> ReplaySource::run(SourceContext& context) {
  const std::string& path = shared_->settings.selection.path;
  auto file = TRY(context.env().disk->open_read(path));
  began_ns_ = context.env().clock->monotonic_ns();
  const std::string& position = context.resume_position();
  skipped_ = position.empty() ? 0 : std::strtoull(position.c_str(), nullptr, 10);
  FileWalk walk(shared_, context, path);
  walk.open(*file, {});
  BlockInfo info{.path = std::make_shared<const std::string>(path),
                 .key_source = key_source_of(shared_->source_name, path)};
  while (auto cut = TRY(walk.next(true))) {
    info.first_line = cut->first_line;
    info.csv_header = walk.header();
    Collected rows(context);
    std::size_t bytes = cut->block->size();
    FilePiece(shared_, std::move(cut->block), bytes, info).decode(rows);
    for (const Batch& batch : rows.batches)
      if (!play(context, batch)) return {};
  }
  return {};
}

Result<std::unique_ptr<Source>> make_replay(const plan::Source& source, Env& env) {
  SettingReader read(source.args);
  ReplaySettings settings;
  settings.rate = read.number("input_rate", 1.0);
  settings.time_column = read.text("time_column");
  settings.unit_ns = unit_ns_of(read.text("unit", "s"));
  settings.speedup = read.number("speedup", 1.0);
  settings.commit_ns = settings.time_column.empty() ? 0 : read.integer("autocommit_ms", 100) * 1'000'000;
  if (!(settings.rate > 0))
    return fail(Code::kInvalidPipeline, "`input_rate` must be greater than 0", read.span("input_rate"));
  if (!(settings.speedup > 0))
    return fail(Code::kInvalidPipeline, "`speedup` must be greater than 0", read.span("speedup"));
  plan::Source own = source;
  std::optional<std::uint32_t> time_column;
  Type time_type;
  bool drop_time = false;
  std::uint32_t column = 0;
  for (auto& field : own.fields) {
    bool is_time = !settings.time_column.empty() && field.name == settings.time_column;
    if (is_time) {
      time_column = column;
      time_type = field.type;
      drop_time = !field.used;
      field.used = true;
    }
    column += field.used;
  }
  if (!settings.time_column.empty() && !time_column)
    return fail(Code::kInvalidPipeline,
                fmt::format("`time_column` names column `{}`, which the schema does not have", settings.time_column),
                read.span("time_column"));
  if (time_column && !time_type.is_number() && !time_type.is_datetime())
    return fail(Code::kInvalidPipeline,
                fmt::format("the time column must be a number or a datetime, `{}` is {}", settings.time_column,
                            time_type.to_text()),
                read.span("time_column"));
  auto file_settings = TRY(FileReadSettings::from("io.csv.read", source.args, *env.disk));
  auto shared = TRY(share_file_source(own, std::move(file_settings)));
  return std::make_unique<ReplaySource>(std::move(shared), std::move(settings), time_column, std::move(time_type),
                                        drop_time);
}

}  // namespace thalweg
