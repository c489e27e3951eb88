#include "connectors/file/sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "connectors/file/settings.h"
#include "connectors/setting_reader.h"
#include "engine/base/bytes.h"
#include "engine/types/datetime.h"

namespace thalweg {

namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::string_view kTimeMark = "{time}";

std::string file_time(std::int64_t ns) {
  CivilTime t = civil_from_ns(ns);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z", t.year, t.month, t.day, t.hour, t.minute, t.second,
                     t.nanosecond / 1'000'000);
}

std::string path_at(const std::string& path, std::int64_t ns) {
  std::string out = path;
  for (std::size_t at; (at = out.find(kTimeMark)) != std::string::npos;)
    out.replace(at, kTimeMark.size(), file_time(ns));
  return out;
}

CsvQuoting quoting_from(std::string_view name) {
  if (name == "minimal") return CsvQuoting::kMinimal;
  if (name == "all") return CsvQuoting::kAll;
  if (name == "none") return CsvQuoting::kNone;
  return CsvQuoting::kNonNumeric;
}

Result<std::vector<std::uint32_t>> sort_columns(const SettingReader& read, const Schema& schema) {
  std::vector<std::uint32_t> columns;
  for (std::string name : read.texts("sort_by")) {
    if (auto dot = name.rfind('.'); dot != std::string::npos && !schema.find(name)) name = name.substr(dot + 1);
    auto column = schema.find(name);
    if (!column)
      return fail(Code::kInvalidPipeline,
                  fmt::format("`sort_by` names column `{}`, which the table does not have", name),
                  read.span("sort_by"));
    columns.push_back(static_cast<std::uint32_t>(*column));
  }
  return columns;
}

std::variant<CsvEncoder, JsonEncoder> encoder_of(const FileWriteSettings& settings, const Schema& schema) {
  if (settings.is_csv) return CsvEncoder(schema, settings.delimiter, settings.quoting);
  return JsonEncoder(schema);
}

Result<void> read_rotation(const SettingReader& read, FileWriteSettings& s) {
  const Setting* rotate = read.map("rotate");
  if (!rotate) return {};
  SettingReader limits(*rotate);
  if (limits.has("every")) s.rotate_every_ns = limits.integer("every", 0);
  if (limits.has("max_bytes")) s.rotate_bytes = static_cast<std::uint64_t>(limits.integer("max_bytes", 0));
  if (s.snapshot)
    return fail(Code::kInvalidPipeline,
                "a snapshot is one file: `rotate` goes with `output_table_type: stream_of_changes`",
                read.span("rotate"));
  if (s.path.find(kTimeMark) == std::string::npos)
    return fail(Code::kInvalidPipeline, "`rotate` needs `{time}` in the path, so that every file has its own name",
                read.span("path"));
  return {};
}

}  // namespace

Result<FileWriteSettings> FileWriteSettings::from(std::string_view connector, const Setting& args,
                                                  const Schema& schema) {
  SettingReader read(args);
  FileWriteSettings s;
  s.path = local_path(read.text("path"));
  if (s.path.empty()) return fail(Code::kInvalidPipeline, "`path` is empty", read.span("path"));
  if (s.path.ends_with(".gz") || s.path.ends_with(".zst"))
    return fail(Code::kInvalidPipeline,
                "compressed output files are not supported; leave out the extension `.gz` or `.zst`",
                read.span("path"));
  if (connector == "io.csv.write")
    s.is_csv = true;
  else if (connector == "io.jsonlines.write")
    s.is_csv = false;
  else if (read.has("format"))
    s.is_csv = read.text("format") == "csv" || read.text("format") == "dsv";
  else if (auto format = format_of_extension(s.path); format && takes_schema(*format))
    s.is_csv = *format == FileFormat::kCsv;
  else
    return fail(Code::kInvalidPipeline, "the path has no known extension; give `format:` csv or json",
                read.span("path"));
  s.header = read.flag("header", true);
  s.delimiter = TRY(csv_format_from(args)).delimiter;
  s.quoting = quoting_from(read.text("quoting"));
  s.snapshot = read.text("output_table_type") == "snapshot";
  s.min_interval_ns = read.integer("min_interval_ms", 0) * 1'000'000;
  std::string existing = read.text("on_existing", "replace");
  s.on_existing = existing == "append" ? OnExisting::kAppend
                  : existing == "fail" ? OnExisting::kFail
                                       : OnExisting::kReplace;
  if (s.snapshot && s.on_existing == OnExisting::kAppend)
    return fail(Code::kInvalidPipeline, "a snapshot replaces its file: `on_existing: append` does not go with it",
                read.span("on_existing"));
  TRY(read_rotation(read, s));
  s.sort_by = TRY(sort_columns(read, schema));
  if (!s.snapshot)
    for (const char* name : {"time", "diff"})
      if (schema.find(name))
        return fail(
            Error{Code::kInvalidPipeline,
                  fmt::format("the table has a column `{}`, and a stream of changes adds one of that name", name),
                  args.span,
                  {{"rename the column, or write `output_table_type: snapshot`", {}}}});
  return s;
}

std::vector<config::OptionSpec> file_write_options(std::string_view connector) {
  using config::OptionType;
  std::vector<config::OptionSpec> options = {
      {.name = "path",
       .type = OptionType::kPath,
       .required = true,
       .doc = "the file; `{time}` in it is the time (UTC) at which it was begun",
       .aliases = {"filename"},
       .example = "./out.csv"},
      {.name = "output_table_type",
       .type = OptionType::kEnum,
       .fallback = "stream_of_changes",
       .doc = "`stream_of_changes` appends every change with `time` and `diff`; `snapshot` is the table as it is now",
       .choices = {"stream_of_changes", "snapshot"}},
      {.name = "min_interval_ms",
       .type = OptionType::kInt,
       .fallback = "100",
       .doc = "a snapshot is rewritten at most this often",
       .min = 0},
      {.name = "on_existing",
       .type = OptionType::kEnum,
       .fallback = "replace",
       .doc = "what happens to a file of an earlier run",
       .choices = {"replace", "append", "fail"}},
      {.name = "rotate",
       .type = OptionType::kMap,
       .doc = "begins a new file after a time or a size; needs `{time}` in the path",
       .fields = {{.name = "every", .type = OptionType::kDuration, .doc = "age of a file", .min = 0.001},
                  {.name = "max_bytes", .type = OptionType::kInt, .doc = "size of a file", .min = 1}},
       .example = "{every: 1h, max_bytes: 100000000}"},
      {.name = "dead_letter",
       .type = OptionType::kPathOrTable,
       .doc = "a file for rows with an ERROR cell (JSON lines), or the name of a table of them"},
      {.name = "sort_by", .type = OptionType::kTextList, .doc = "columns that order the rows of one commit"},
  };
  if (connector == "io.fs.write")
    options.push_back({.name = "format",
                       .type = OptionType::kEnum,
                       .doc = "default: by the extension",
                       .choices = {"csv", "dsv", "json", "jsonlines"}});
  if (connector != "io.jsonlines.write") {
    options.push_back({.name = "delimiter", .doc = "single byte between fields", .aliases = {"separator"}});
    options.push_back({.name = "header",
                       .type = OptionType::kBool,
                       .fallback = "true",
                       .doc = "the file begins with the names of the columns",
                       .aliases = {"include_header"}});
    options.push_back({.name = "quoting",
                       .type = OptionType::kEnum,
                       .fallback = "nonnumeric",
                       .doc = "which cells are quoted",
                       .choices = {"minimal", "all", "nonnumeric", "none"}});
  }
  return options;
}

RowEncoder::RowEncoder(const FileWriteSettings& settings, const Schema& schema)
    : header_(settings.is_csv && settings.header), encoder_(encoder_of(settings, schema)) {}

void RowEncoder::header(bool with_time, std::string& out) const {
  if (const auto* csv = std::get_if<CsvEncoder>(&encoder_); csv && header_) csv->header(with_time, out);
}

void RowEncoder::row(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const {
  std::visit([&](const auto& encoder) { encoder.row(batch, row, time, out); }, encoder_);
}

Result<void> ChangesFileSink::open(const SinkContext& context) {
  env_ = context.env;
  owner_ = owner_of_output(context.pipeline, context.name, settings_.path);
  remove_left_over(*env_, path_at(settings_.path, env_->clock->wall_ns()), owner_);
  if (context.state_path.empty()) return open_file();
  marker_ = TRY(OutputMarker::open(*context.state_disk, context.state_path + ".mark"));
  resume_from_ = context.resume_from;
  if (marker_->last()) return go_on(context);
  TRY(open_file());
  // From now on the file is known to be ours, and how long it was before.
  if (file_->has_content()) return mark(0);
  return marker_->put({.commit = 0, .path = file_->path(), .length = 0, .tail_hash = 0, .opened_ns = opened_ns_});
}

Result<void> ChangesFileSink::go_on(const SinkContext& context) {
  const OutputMark last = *marker_->last();
  opened_ns_ = last.opened_ns;
  if (last.length == 0) {
    // Nothing was ever known to be in it: what a run that was cut off wrote is replaced.
    file_ = TRY(OutputFile::open(*env_, last.path, OnExisting::kReplace, owner_));
    encoder_.header(true, buffer_);
    return {};
  }
  auto file = OutputFile::resume(*env_, last.path, last.length);
  if (!file && file.error().code == Code::kNotFound) {
    // Somebody has taken it away: a new one gets what is new.
    TRY(open_file());
    return {};
  }
  auto hash = file ? tail_hash_of(*env_->disk, last.path, last.length) : Result<std::uint64_t>(fail(file.error()));
  if (!hash && hash.error().code != Code::kBadData) return fail(std::move(hash).error());
  if (!hash || *hash != last.tail_hash)
    return fail(Error{
        Code::kBadData,
        fmt::format("'{}' is not what was written to it: the output '{}' cannot go on there", last.path, context.name),
        {},
        {{"put the file back, or take it away: then a new one gets what changes from now on", {}}}});
  file_ = std::move(*file);
  return {};
}

// The file is durable up to its end.
Result<void> ChangesFileSink::mark(std::uint64_t commit) {
  if (!marker_) return {};
  OutputMark mark{
      .commit = commit, .path = file_->path(), .length = file_->bytes(), .tail_hash = 0, .opened_ns = opened_ns_};
  mark.tail_hash = TRY(tail_hash_of(*env_->disk, mark.path, mark.length));
  return marker_->put(std::move(mark));
}

std::optional<std::uint64_t> ChangesFileSink::last_commit() const {
  if (!marker_ || !marker_->last()) return std::nullopt;
  return marker_->last()->commit;
}

Delivery ChangesFileSink::delivery() const { return marker_ ? Delivery::kExactlyOnce : Delivery::kAtLeastOnce; }

Result<void> ChangesFileSink::open_file() {
  opened_ns_ = env_->clock->wall_ns();
  file_.reset();
  file_ = TRY(OutputFile::open(*env_, path_at(settings_.path, opened_ns_), settings_.on_existing, owner_));
  if (!file_->has_content()) encoder_.header(true, buffer_);
  return {};
}

bool ChangesFileSink::must_rotate() const {
  if (settings_.rotate_bytes && file_->bytes() >= *settings_.rotate_bytes) return true;
  return settings_.rotate_every_ns && env_->clock->wall_ns() - opened_ns_ >= *settings_.rotate_every_ns;
}

Result<void> ChangesFileSink::begin(std::uint64_t commit) {
  if (commit >= resume_from_) TRY(file_->cut_surplus());
  if (must_rotate()) TRY(open_file());
  return {};
}

Result<void> ChangesFileSink::flush(std::size_t bytes_min) {
  if (buffer_.size() < bytes_min || buffer_.empty()) return {};
  TRY(file_->append(buffer_));
  count_bytes(buffer_.size());
  buffer_.clear();
  return {};
}

Result<void> ChangesFileSink::write(std::uint64_t commit, const Batch& batch) {
  if (!settings_.sort_by.empty()) {
    commit_batches_.push_back(batch);
    return {};
  }
  for (std::size_t i = 0; i < batch.num_rows; ++i) {
    encoder_.row(batch, i, &commit, buffer_);
    TRY(flush(kBufferBytes));
  }
  return {};
}

Result<void> ChangesFileSink::write_sorted(std::uint64_t commit) {
  if (commit_batches_.empty()) return {};
  Batch all = Batch::concat(std::exchange(commit_batches_, {}));
  std::vector<std::uint32_t> order(all.num_rows);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    for (std::uint32_t column : settings_.sort_by)
      if (int c = Column::compare_cells(schema_.columns[column].type, all.columns[column], a, all.columns[column], b))
        return c < 0;
    return all.diff(a) < all.diff(b);
  });
  for (std::uint32_t row : order) {
    encoder_.row(all, row, &commit, buffer_);
    TRY(flush(kBufferBytes));
  }
  return {};
}

Result<void> ChangesFileSink::end(std::uint64_t commit) {
  TRY(write_sorted(commit));
  TRY(flush(0));
  TRY(file_->commit());
  return mark(commit);
}

Result<void> ChangesFileSink::close(bool complete) {
  if (file_ && complete) {
    TRY(flush(0));  // a header without rows
    TRY(file_->cut_surplus());
    TRY(file_->commit());
    if (marker_) TRY(mark(marker_->last() ? marker_->last()->commit : 0));
  }
  file_.reset();
  return {};
}

SnapshotFileSink::~SnapshotFileSink() { stop_writer(); }

namespace {

bool restore_rows(std::string_view from, std::map<std::string, std::int64_t>& rows) {
  std::uint64_t count = 0;
  if (!bytes::take_number(from, count)) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string line;
    std::int64_t times = 0;
    if (!bytes::take_text(from, line) || !bytes::take_number(from, times)) return false;
    rows.emplace_hint(rows.end(), std::move(line), times);
  }
  return from.empty();
}

}  // namespace

Result<std::string> SnapshotFileSink::save() {
  std::lock_guard lock(mutex_);
  std::string out;
  bytes::put_number<std::uint64_t>(out, rows_.size());
  for (const auto& [line, count] : rows_) {
    bytes::put_text(out, line);
    bytes::put_number(out, count);
  }
  return out;
}

Result<void> SnapshotFileSink::open(const SinkContext& context) {
  env_ = context.env;
  TRY(env_->disk->make_directories(parent_directory(settings_.path)));
  auto existing = env_->disk->stat(settings_.path);
  if (existing && existing->is_directory)
    return fail(Code::kInvalidArgument, fmt::format("'{}' is a directory", settings_.path));
  if (existing && settings_.on_existing == OnExisting::kFail && context.resume_from == 0)
    return fail(Code::kInvalidArgument, fmt::format("'{}' exists already (`on_existing: fail`)", settings_.path));
  if (!context.saved.empty() && !restore_rows(context.saved, rows_))
    return fail(Code::kBadData, fmt::format("what is kept of the output '{}' cannot be read", context.name));
  if (context.resume_from > 0) {
    dirty_ = true;  // the file may be behind
    written_ns_ = env_->clock->monotonic_ns();
  }
  owner_ = owner_of_output(context.pipeline, context.name, settings_.path);
  remove_left_over(*env_, settings_.path, owner_);
  // A place that cannot be written must show now, not after the first commit.
  const TemporaryName probe = TemporaryName::beside(*env_, settings_.path, owner_);
  TRY(env_->disk->open_write(probe.path(), Disk::WriteMode::kTruncate));
  TRY(env_->disk->remove(probe.path()));
  if (settings_.min_interval_ns > 0) writer_ = std::thread([this] { write_when_due(); });
  return {};
}

Result<void> SnapshotFileSink::write(std::uint64_t /*commit*/, const Batch& batch) {
  for (std::size_t i = 0; i < batch.num_rows; ++i) {
    line_.clear();
    encoder_.row(batch, i, nullptr, line_);
    running_[line_] += batch.diff(i);
  }
  return {};
}

Result<void> SnapshotFileSink::end(std::uint64_t /*commit*/) {
  std::unique_lock lock(mutex_);
  if (error_) return fail(*error_);
  for (auto& [line, diff] : running_) {
    if (diff == 0) continue;
    auto [at, is_new] = rows_.try_emplace(line, 0);
    at->second += diff;
    if (at->second == 0) rows_.erase(at);
  }
  running_.clear();
  dirty_ = true;
  if (!writer_.joinable() || env_->clock->monotonic_ns() - written_ns_ >= settings_.min_interval_ns)
    return replace_file();
  changed_.notify_one();
  return {};
}

Result<void> SnapshotFileSink::replace_file() {
  const TemporaryName temporary = TemporaryName::beside(*env_, settings_.path, owner_);
  auto write_all = [&]() -> Result<void> {
    auto file = TRY(env_->disk->open_write(temporary.path(), Disk::WriteMode::kTruncate));
    std::string buffer;
    encoder_.header(false, buffer);
    for (const auto& [line, count] : rows_) {
      for (std::int64_t i = 0; i < count; ++i) buffer += line;
      if (buffer.size() < kBufferBytes) continue;
      TRY(file->append(buffer));
      count_bytes(buffer.size());
      buffer.clear();
    }
    TRY(file->append(buffer));
    count_bytes(buffer.size());
    TRY(file->sync());
    return env_->disk->rename(temporary.path(), settings_.path);
  };
  auto done = write_all();
  if (!done) {
    (void)env_->disk->remove(temporary.path());
    return done;
  }
  dirty_ = false;
  written_ns_ = env_->clock->monotonic_ns();
  return {};
}

void SnapshotFileSink::write_when_due() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!dirty_ || error_) {
      changed_.wait(lock);
      continue;
    }
    std::int64_t left = written_ns_ + settings_.min_interval_ns - env_->clock->monotonic_ns();
    if (left > 0) {
      changed_.wait_for(lock, std::chrono::nanoseconds(left));
      continue;
    }
    if (auto done = replace_file(); !done) error_ = std::move(done).error();
  }
}

void SnapshotFileSink::stop_writer() {
  if (!writer_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  writer_.join();
}

Result<void> SnapshotFileSink::close(bool complete) {
  stop_writer();
  std::lock_guard lock(mutex_);
  if (error_) return fail(*error_);
  if (!env_ || (!dirty_ && !(complete && written_ns_ == 0))) return {};
  return replace_file();
}

}  // namespace thalweg
