#include "connectors/file/source.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "connectors/file/follow.h"
#include "connectors/formats/raw.h"
#include "engine/base/file_births.h"
#include "engine/types/from_text.h"

namespace thalweg {

namespace {

constexpr std::size_t kBlockBytes = 1 << 20;

std::string owner_name(std::uint32_t uid) {
  char buffer[4096];
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) != 0 || !found) return "null";
  return json_quoted(found->pw_name);
}

Result<std::unique_ptr<RecordDecoder>> decoder_of(const FileReadSettings& settings, const RecordLayout& layout) {
  switch (settings.format) {
    case FileFormat::kCsv: return std::make_unique<CsvDecoder>(settings.csv, layout);
    case FileFormat::kJson: return TRY(JsonLinesDecoder::make(layout, settings.json_paths));
    case FileFormat::kPlainText: return std::make_unique<PlainTextDecoder>(layout);
    case FileFormat::kPlainTextByFile:
    case FileFormat::kBinary:
    case FileFormat::kOnlyMetadata: break;
  }
  return std::unique_ptr<RecordDecoder>();
}

// Remembers the last bytes that went by.
class TailReader final : public ByteReader {
 public:
  TailReader(ByteReader& inner, std::string& tail, std::uint64_t& end) : inner_(inner), tail_(tail), end_(end) {}
  Result<std::size_t> read(char* into, std::size_t bytes) override {
    std::size_t n = TRY(inner_.read(into, bytes));
    std::size_t kept = std::min(n, FileWalk::kTailBytes);
    tail_.append(into + n - kept, kept);
    if (tail_.size() > FileWalk::kTailBytes) tail_.erase(0, tail_.size() - FileWalk::kTailBytes);
    end_ += n;
    return n;
  }

 private:
  ByteReader& inner_;
  std::string& tail_;
  std::uint64_t& end_;
};

}  // namespace

Result<std::shared_ptr<FileSourceShared>> share_file_source(const plan::Source& source, FileReadSettings settings) {
  auto shared = std::make_shared<FileSourceShared>();
  shared->settings = std::move(settings);
  shared->layout = TRY(RecordLayout::of(source));
  shared->source_name = source.name;
  shared->append_only = source.append_only;
  for (const auto& [column, path] : shared->settings.json_paths) {
    bool known =
        std::any_of(source.fields.begin(), source.fields.end(), [&](const auto& f) { return f.name == column; });
    if (!known)
      return fail(Code::kInvalidPipeline,
                  fmt::format("`json_field_paths` names column `{}`, which the schema does not have", column));
  }
  shared->decoder = TRY(decoder_of(shared->settings, shared->layout));
  if (shared->settings.format == FileFormat::kCsv)
    shared->cutter = std::make_unique<CsvCutter>(shared->settings.csv);
  else
    shared->cutter = std::make_unique<LineCutter>();
  shared->policy = std::make_unique<BadRowPolicy>(shared->settings.on_bad_row);
  shared->pool = std::make_shared<BlockPool>(kBlockBytes);
  return shared;
}

// Lines, near enough; nobody asks twice.
std::size_t FilePiece::num_records() const {
  if (!shared_->settings.counts_records || !shared_->decoder) return 1;
  const std::string_view bytes = block_->view();
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::ranges::count(bytes, '\n')));
}

void KnownHeaders::add(const std::string& path, std::shared_ptr<const CsvHeader> header) {
  std::lock_guard lock(mutex_);
  last_ = header;
  if (by_path_.size() < kHeadersMax || by_path_.contains(path)) by_path_[path] = std::move(header);
}

std::shared_ptr<const CsvHeader> KnownHeaders::find(std::string_view path) const {
  std::lock_guard lock(mutex_);
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? last_ : found->second;
}

Result<std::unique_ptr<Piece>> reread_record(const std::shared_ptr<FileSourceShared>& shared, const std::string& record,
                                             const std::string& position, std::uint64_t number) {
  if (!shared->decoder)
    return fail(Code::kInvalidArgument, "a whole file cannot be read again by itself; mend the file");
  // `path:line:column`
  std::string_view path = position;
  for (int part = 0; part < 2; ++part)
    if (const auto colon = path.rfind(':'); colon != std::string_view::npos) path = path.substr(0, colon);
  BlockInfo info{.path = std::make_shared<const std::string>(fmt::format("dead letter {} of {}", number, path)),
                 .key_source = key_source_of(shared->source_name, "dead letters"),
                 .key_first = number};
  info.metadata = std::make_shared<const std::string>(fmt::format("{{\"path\":{}}}", json_quoted(path)));
  if (shared->settings.format == FileFormat::kCsv) {
    info.csv_header = shared->settings.csv.header
                          ? shared->headers->find(path)
                          : std::make_shared<const CsvHeader>(CsvHeader::by_position(shared->layout));
    if (!info.csv_header)
      return fail(Code::kUnavailable, "no header of a file has been read since the start, and the record needs one");
  }
  auto block = shared->pool->take(record.size() + 1);
  std::memcpy(block->data(), record.data(), record.size());
  block->seal(record.size());
  return std::make_unique<FilePiece>(shared, std::move(block), record.size(), std::move(info));
}

void FilePiece::decode(RowSink& out) {
  Reporter report(out, *shared_->policy);
  if (shared_->decoder)
    shared_->decoder->decode(block_, info_, report);
  else
    WholeFileDecoder(shared_->layout).decode(block_, content_bytes_, info_, report);
  block_.reset();
}

std::uint64_t key_source_of(const std::string& source_name, const std::string& path) {
  std::string bytes = fmt::format("{} {} {}", source_name.size(), source_name, path);
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::shared_ptr<const std::string> metadata_of(const FileSourceShared& shared, Disk& disk, const FoundFile& file,
                                               std::int64_t seen_ns) {
  std::string owner = "null";
  if (!shared.owner)
    owner = owner_name(file.stat.uid);
  else if (const auto known = shared.owner(file.path))
    owner = json_quoted(*known);
  constexpr std::int64_t kSecond = 1'000'000'000;
  const auto birth_ns = thalweg::birth_ns(disk, file.path);
  const std::string created = birth_ns ? std::to_string(*birth_ns / kSecond) : "null";
  return std::make_shared<const std::string>(fmt::format(
      "{{\"created_at\":{},\"modified_at\":{},\"owner\":{},\"path\":{},\"seen_at\":{},\"size\":{}}}", created,
      file.stat.mtime_ns / kSecond, owner, json_quoted(file.path), seen_ns / kSecond, file.stat.size));
}

Result<std::optional<std::pair<std::shared_ptr<Block>, std::size_t>>> read_whole_file(const FileSourceShared& shared,
                                                                                      SourceContext& context,
                                                                                      const std::string& path,
                                                                                      std::uint64_t size) {
  using Content = std::optional<std::pair<std::shared_ptr<Block>, std::size_t>>;
  const std::size_t bytes_max = shared.settings.file_bytes_max;
  if (shared.settings.format == FileFormat::kOnlyMetadata) {
    auto block = shared.pool->take(1);
    block->seal(0);
    return Content{{std::move(block), 0}};
  }
  auto file = TRY(shared.disk(context.env()).open_read(path));
  auto bytes = open_bytes(*file, path, compression_of(path));
  std::size_t room = std::min<std::size_t>(size, bytes_max) + 1;
  auto block = shared.pool->take(room);
  std::size_t filled = 0;
  while (true) {
    std::size_t n = TRY(bytes->read(block->data() + filled, block->capacity() - filled));
    filled += n;
    if (n == 0) break;
    if (filled < block->capacity()) continue;
    if (filled > bytes_max) {
      BadRecord bad{.message = fmt::format("the file is larger than {} bytes (`file_bytes_max`)", bytes_max),
                    .raw = {},
                    .position = path};
      shared.policy->apply(bad);
      context.bad_record(std::move(bad));
      return Content{};
    }
    auto larger = shared.pool->take(std::min(filled * 2, bytes_max + 1));
    std::memcpy(larger->data(), block->data(), filled);
    block = std::move(larger);
  }
  block->seal(filled);
  return Content{{std::move(block), filled}};
}

FileWalk::FileWalk(std::shared_ptr<const FileSourceShared> shared, SourceContext& context, const std::string& path)
    : shared_(std::move(shared)), context_(context), path_(path) {}

void FileWalk::open(ReadFile& file, Start start) {
  Compression compression = compression_of(path_);
  tail_ = std::move(start.tail);
  end_offset_ = start.offset;
  inner_ = open_bytes(file, path_, compression, start.offset);
  bytes_ = std::make_unique<TailReader>(*inner_, tail_, end_offset_);
  std::uint64_t expected = start.file_bytes > start.offset ? start.file_bytes - start.offset : 0;
  BlockReaderOptions options{.record_bytes_max = shared_->settings.record_bytes_max,
                             .skip_byte_order_mark = start.offset == 0,
                             .expected_bytes = compression == Compression::kNone ? expected : 0};
  reader_ = std::make_unique<BlockReader>(*bytes_, *shared_->cutter, shared_->pool, start.line, options,
                                          [this](BlockReader::BadPart part) {
                                            BadRecord bad{.message = std::move(part.message),
                                                          .raw = std::move(part.raw),
                                                          .position = fmt::format("{}:{}:1", path_, part.line + 1)};
                                            shared_->policy->apply(bad);
                                            context_.bad_record(std::move(bad));
                                          });
  header_ = std::move(start.header);
  bool by_position = shared_->settings.format == FileFormat::kCsv && !shared_->settings.csv.header;
  if (header_ && !by_position) shared_->headers->add(path_, header_);
  if (!header_ && by_position) header_ = std::make_shared<const CsvHeader>(CsvHeader::by_position(shared_->layout));
}

Result<std::optional<BlockReader::Cut>> FileWalk::next(bool final) {
  while (true) {
    auto cut = TRY(reader_->next(final));
    if (!cut || header_ || shared_->settings.format != FileFormat::kCsv) return cut;
    take_header(*cut);
    if (cut->block) return cut;
  }
}

void FileWalk::take_header(BlockReader::Cut& cut) {
  std::string_view left = cut.block->view();
  while (!left.empty() && is_csv_noise(shared_->settings.csv, left)) {
    left.remove_prefix(shared_->cutter->record_end(left));
    ++cut.first_line;
  }
  if (!left.empty()) {
    header_text_ = left.substr(0, shared_->cutter->record_end(left));
    left.remove_prefix(header_text_.size());
    cut.first_line += count_lines(header_text_);
    header_ = std::make_shared<const CsvHeader>(
        CsvHeader::from_names(shared_->layout, split_csv_record(shared_->settings.csv, header_text_)));
    shared_->headers->add(path_, header_);
    report_absent();
  }
  if (left.empty()) {
    cut.block.reset();
    return;
  }
  // Records move to the start: keys by offset and padding stay simple.
  std::size_t bytes = left.size();
  std::memmove(cut.block->data(), left.data(), bytes);
  cut.block->seal(bytes);
}

void FileWalk::report_absent() {
  for (std::uint32_t index : header_->absent) {
    const RecordField& field = shared_->layout.fields[index];
    if (field.default_value || field.type.admits_none()) continue;
    BadRecord bad{
        .message = fmt::format("column `{}` is not in the header of this file, and has no default{}", field.name,
                               field.primary_key ? "; it is part of the primary key, so no row can be read" : ""),
        .raw = header_text_,
        .position = path_ + ":1:1",
        .kind = BadRecord::Kind::kValue};
    shared_->policy->apply(bad);
    context_.bad_record(std::move(bad));
  }
}

Result<bool> StaticFileSource::read_whole(SourceContext& context, const FoundFile& file) {
  auto content = TRY(read_whole_file(*shared_, context, file.path, file.stat.size));
  if (!content) return true;
  BlockInfo info{.path = std::make_shared<const std::string>(file.path),
                 .key_source = key_source_of(shared_->source_name, file.path)};
  if (shared_->layout.metadata)
    info.metadata = metadata_of(*shared_, shared_->disk(context.env()), file, context.env().clock->wall_ns());
  return context.deliver(
      std::make_unique<FilePiece>(shared_, std::move(content->first), content->second, std::move(info)));
}

Result<bool> StaticFileSource::read_file(SourceContext& context, const FoundFile& file) {
  auto handle = TRY(shared_->disk(context.env()).open_read(file.path));
  FileWalk walk(shared_, context, file.path);
  walk.open(*handle, {.file_bytes = file.stat.size});
  BlockInfo info{.path = std::make_shared<const std::string>(file.path),
                 .key_source = key_source_of(shared_->source_name, file.path)};
  if (shared_->layout.metadata)
    info.metadata = metadata_of(*shared_, shared_->disk(context.env()), file, context.env().clock->wall_ns());
  while (auto cut = TRY(walk.next(true))) {
    info.first_line = cut->first_line;
    info.csv_header = walk.header();
    std::size_t bytes = cut->block->size();
    if (!context.deliver(std::make_unique<FilePiece>(shared_, std::move(cut->block), bytes, info))) return false;
    if (shared_->policy->failed()) return false;
  }
  return true;
}

Result<void> StaticFileSource::run(SourceContext& context) {
  auto& settings = shared_->settings;
  if (!settings.dead_letter.empty()) TRY(BadRowPolicy::check_dead_letters(context.env(), settings.dead_letter));
  auto scan = TRY(scan_files(shared_->disk(context.env()), settings.selection));
  if (scan.root_missing || (scan.files.empty() && is_pattern(settings.selection.path)))
    return fail(Code::kNotFound, scan.root_missing
                                     ? fmt::format("there is no file or directory '{}'", settings.selection.path)
                                     : fmt::format("no file matches '{}'", settings.selection.path));
  // Where state is kept, this run goes on from an earlier one, and another will go on from it.
  if (context.keeps_positions()) return FollowFileSource(shared_).run_static(context);
  for (std::string& warning : scan.warnings) context.warn(std::move(warning));
  for (const FoundFile& file : scan.files) {
    bool go_on = TRY(is_by_file(settings.format) ? read_whole(context, file) : read_file(context, file));
    if (!go_on) return {};
  }
  context.commit();
  return {};
}

}  // namespace thalweg
