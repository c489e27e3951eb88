#include "connectors/file/settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/decode.h"
#include "connectors/file/byte_reader.h"
#include "connectors/setting_reader.h"

namespace thalweg {

namespace {

using config::OptionSpec;
using config::OptionType;

constexpr std::int64_t kNsPerMs = 1'000'000;

std::optional<FileFormat> format_from_name(std::string_view name) {
  if (name == "csv" || name == "dsv") return FileFormat::kCsv;
  if (name == "json" || name == "jsonlines") return FileFormat::kJson;
  if (name == "plaintext") return FileFormat::kPlainText;
  if (name == "plaintext_by_file" || name == "plaintext_by_object") return FileFormat::kPlainTextByFile;
  if (name == "binary") return FileFormat::kBinary;
  if (name == "only_metadata") return FileFormat::kOnlyMetadata;
  return std::nullopt;
}

std::string_view format_name(FileFormat format) {
  switch (format) {
    case FileFormat::kCsv: return "csv";
    case FileFormat::kJson: return "json";
    case FileFormat::kPlainText: return "plaintext";
    case FileFormat::kPlainTextByFile: return "plaintext_by_file";
    case FileFormat::kBinary: return "binary";
    case FileFormat::kOnlyMetadata: return "only_metadata";
  }
  return "";
}

std::unexpected<Error> no_format(std::string_view what, SourceSpan at) {
  return fail(Error{Code::kInvalidPipeline,
                    fmt::format("the format of these files is not clear: {}", what),
                    at,
                    {{"give `format:` csv, json, plaintext, plaintext_by_file or binary", {}}}});
}

Result<FileFormat> guess_format(const FileSelection& selection, Disk& disk, SourceSpan at) {
  if (auto format = format_of_extension(selection.path)) return *format;
  auto scan = scan_files(disk, selection);
  if (!scan || scan->files.empty()) return no_format("the path has no known extension", at);
  std::optional<FileFormat> format;
  for (const FoundFile& file : scan->files) {
    auto here = format_of_extension(file.path);
    if (!here) return no_format(fmt::format("'{}' has no known extension", file.path), at);
    if (format && *format != *here)
      return no_format(fmt::format("there are {} files and {} files", format_name(*format), format_name(*here)), at);
    format = here;
  }
  return *format;
}

// One byte; `tab`, `\t` and `space` have names.
Result<std::optional<char>> one_byte(const SettingReader& args, std::string_view name) {
  if (!args.has(name)) return std::optional<char>{};
  std::string text = args.text(name);
  if (text == "\\t" || text == "tab") return std::optional<char>{'\t'};
  if (text == "space") return std::optional<char>{' '};
  if (text.size() != 1 || text[0] == '\n' || text[0] == '\r')
    return fail(
        Code::kInvalidPipeline,
        fmt::format("`{}` must be a single byte, found {}", name, text.empty() ? "an empty text" : "`" + text + "`"),
        args.span(name));
  return std::optional<char>{text[0]};
}

Result<void> read_csv(const SettingReader& args, CsvFormat& format) {
  if (auto c = TRY(one_byte(args, "delimiter"))) format.delimiter = *c;
  if (args.has("quote") && args.text("quote").empty())
    format.quote.reset();
  else if (auto c = TRY(one_byte(args, "quote")))
    format.quote = *c;
  if (auto c = TRY(one_byte(args, "escape"))) format.escape = *c;
  if (auto c = TRY(one_byte(args, "comment_character"))) format.comment = *c;
  format.double_quotes = args.flag("enable_double_quote_escapes", format.double_quotes);
  if (!args.flag("enable_quoting", true)) format.quote.reset();
  if (format.quote == format.delimiter)
    return fail(Code::kInvalidPipeline,
                fmt::format("`{}` cannot be both the delimiter and the quote", format.delimiter),
                args.span("delimiter"));
  return {};
}

JsonPaths json_paths_from(const Setting& args) {
  JsonPaths paths;
  if (const Setting* map = SettingReader(args).map("json_field_paths"))
    for (const auto& [column, path] : *map->as_map())
      if (const std::string* text = path.as_text()) paths[column] = *text;
  return paths;
}

}  // namespace

std::string local_path(std::string path) {
  constexpr std::string_view kScheme = "file://";
  return path.starts_with(kScheme) ? path.substr(kScheme.size()) : path;
}

std::optional<FileFormat> format_of_extension(std::string_view path) {
  path = without_compression(path);
  std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  std::string extension(path.substr(dot + 1));
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (extension == "csv" || extension == "tsv") return FileFormat::kCsv;
  if (extension == "json" || extension == "jsonl" || extension == "ndjson" || extension == "jsonlines")
    return FileFormat::kJson;
  if (extension == "txt" || extension == "log") return FileFormat::kPlainText;
  return std::nullopt;
}

Result<CsvFormat> csv_format_from(const Setting& args) {
  CsvFormat format;
  format.header = SettingReader(args).flag("header", true);
  if (const Setting* nested = SettingReader(args).map("csv_settings")) TRY(read_csv(SettingReader(*nested), format));
  TRY(read_csv(SettingReader(args), format));
  return format;
}

Result<FileReadSettings> FileReadSettings::from(std::string_view connector, const Setting& args, Disk& disk) {
  SettingReader read(args);
  FileReadSettings s;
  s.selection.path = local_path(read.text("path"));
  s.selection.object_pattern = read.text("object_pattern", "*");
  s.is_static = read.text("mode", "streaming") == "static";
  if (s.selection.path.empty()) return fail(Code::kInvalidPipeline, "`path` is empty", read.span("path"));
  if (connector == "io.csv.read")
    s.format = FileFormat::kCsv;
  else if (connector == "io.jsonlines.read")
    s.format = FileFormat::kJson;
  else if (connector == "io.plaintext.read")
    s.format = FileFormat::kPlainText;
  else if (read.has("format"))
    s.format = format_from_name(read.text("format")).value_or(FileFormat::kCsv);
  else
    s.format = TRY(guess_format(s.selection, disk, read.span("path")));
  s.csv = TRY(csv_format_from(args));
  if (without_compression(s.selection.path).ends_with(".tsv") && !read.has("delimiter") && !read.map("csv_settings"))
    s.csv.delimiter = '\t';
  s.json_paths = json_paths_from(args);
  s.with_metadata = read.flag("with_metadata", false) || s.format == FileFormat::kOnlyMetadata;
  s.record_bytes_max = static_cast<std::size_t>(read.integer("record_bytes_max", 16 << 20));
  s.file_bytes_max = static_cast<std::size_t>(read.integer("file_bytes_max", 1 << 30));
  s.counts_records = read.has("max_backlog_size");
  s.refresh_ns = read.integer("refresh_interval", 500 * kNsPerMs);
  s.partial_line_ns = read.integer("partial_line_timeout", 500 * kNsPerMs);
  std::string action = read.text("on_bad_row");
  s.dead_letter = read.text("dead_letter");
  if (action == "skip")
    s.on_bad_row = BadRowPolicy::Action::kSkip;
  else if (action == "fail")
    s.on_bad_row = BadRowPolicy::Action::kFail;
  else if (action == "dead_letter" || !s.dead_letter.empty())
    s.on_bad_row = BadRowPolicy::Action::kDeadLetter;
  if (!s.dead_letter.empty() && (action == "skip" || action == "fail"))
    return fail(Code::kInvalidPipeline, fmt::format("`dead_letter` does not go with `on_bad_row: {}`", action),
                read.span("dead_letter"));
  s.dead_letter = local_path(s.dead_letter);
  if (!config::is_path(s.dead_letter)) s.dead_letter.clear();  // a table: the engine feeds it
  return s;
}

std::vector<OptionSpec> csv_options() {
  std::vector<OptionSpec> dialect = {
      {.name = "delimiter",
       .doc = "single byte between fields; `tab` too",
       .aliases = {"separator"},
       .example = "\";\""},
      {.name = "quote", .doc = "single byte around fields; empty turns quoting off", .aliases = {"quotechar"}},
      {.name = "escape", .doc = "single byte inside quotes before a byte that is itself"},
      {.name = "enable_double_quote_escapes",
       .type = OptionType::kBool,
       .doc = "two quotes inside quotes are one",
       .aliases = {"double_quote_escapes"}},
      {.name = "enable_quoting", .type = OptionType::kBool, .doc = "whether quotes mean anything"},
      {.name = "comment_character", .doc = "lines that begin with it are left out", .aliases = {"comment"}},
  };
  std::vector<OptionSpec> options = dialect;
  options.push_back({.name = "header",
                     .type = OptionType::kBool,
                     .fallback = "true",
                     .doc = "the first record of a file names its columns; without one, columns go by position",
                     .aliases = {"include_header"}});
  options.push_back({.name = "csv_settings",
                     .type = OptionType::kMap,
                     .doc = "the same settings as one value",
                     .aliases = {"dsv_settings"},
                     .fields = dialect});
  return options;
}

std::vector<OptionSpec> file_read_options(std::string_view connector) {
  std::vector<OptionSpec> options = {
      {.name = "path",
       .type = OptionType::kPath,
       .required = true,
       .doc = "a file, a directory (all files below it) or a pattern (`*`, `?`, `[a-z]`, `**`); `.gz` and `.zst` are "
              "decompressed",
       .aliases = {"filename"},
       .example = "./orders/*.csv"},
      {.name = "mode",
       .type = OptionType::kEnum,
       .fallback = "streaming",
       .doc = "`static` reads what is there and ends; `streaming` follows changes, additions and deletions",
       .choices = {"streaming", "static", "streaming_with_deletions"}},
      {.name = "object_pattern", .fallback = "*", .doc = "below a directory, only files whose names match"},
      {.name = "with_metadata",
       .type = OptionType::kBool,
       .fallback = "false",
       .doc = "adds the json column `_metadata`: path, size, owner, created_at, modified_at, seen_at (seconds)"},
      {.name = "refresh_interval",
       .type = OptionType::kDuration,
       .fallback = "500ms",
       .doc = "how often files are looked at where the system does not announce changes",
       .min = 0.001},
      {.name = "partial_line_timeout",
       .type = OptionType::kDuration,
       .fallback = "500ms",
       .doc = "streaming: how long a last line without its end is waited for before it is read as it is"},
      {.name = "record_bytes_max",
       .type = OptionType::kInt,
       .fallback = "16777216",
       .doc = "a longer record is a bad record",
       .min = 1024,
       .max = 2147483647},
      {.name = "on_bad_row",
       .type = OptionType::kEnum,
       .doc = "`dead_letter` keeps bad records, `skip` only logs them, `fail` ends the run",
       .choices = {"dead_letter", "skip", "fail"}},
      {.name = "dead_letter",
       .type = OptionType::kPathOrTable,
       .doc = "a file for bad records (JSON lines), or the name of a table of them"},
      {.name = "autocommit_duration_ms",
       .type = OptionType::kInt,
       .doc = "a loaded pipeline closes a commit this often",
       .min = 1},
      {.name = "max_backlog_size",
       .type = OptionType::kInt,
       .doc = "at most so many records are read and not yet visible: the reader waits (but a transaction is never "
              "split); beside it, 16 MiB of each source",
       .min = 1},
      {.name = "debug_data", .type = OptionType::kAny, .doc = "accepted for compatibility; not used"},
  };
  bool any_format = connector == "io.fs.read";
  if (any_format)
    options.push_back({.name = "format",
                       .type = OptionType::kEnum,
                       .doc = "how a file is read; default: by its extension",
                       .choices = {"csv", "dsv", "json", "jsonlines", "plaintext", "plaintext_by_file",
                                   "plaintext_by_object", "binary", "only_metadata"}});
  if (any_format)
    options.push_back({.name = "file_bytes_max",
                       .type = OptionType::kInt,
                       .fallback = "1073741824",
                       .doc = "formats by file: a larger file is a bad record",
                       .min = 1024,
                       .max = 4294967295.0});
  if (any_format || connector == "io.csv.read")
    for (OptionSpec& option : csv_options()) options.push_back(std::move(option));
  if (any_format || connector == "io.jsonlines.read")
    options.push_back({.name = "json_field_paths",
                       .type = OptionType::kTextMap,
                       .doc = "column → JSON pointer of its value (`/a/b/0`)"});
  return options;
}

}  // namespace thalweg
