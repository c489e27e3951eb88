// connectors/file/settings.h
//
// The arguments of the file connectors, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/option_spec.h"
#include "connectors/file/scan.h"
#include "connectors/formats/csv.h"
#include "connectors/formats/json.h"
#include "connectors/formats/report.h"

namespace thalweg {

enum class FileFormat : std::uint8_t { kCsv, kJson, kPlainText, kPlainTextByFile, kBinary, kOnlyMetadata };

// A whole file is one row.
[[nodiscard]] inline bool is_by_file(FileFormat format) {
  return format == FileFormat::kPlainTextByFile || format == FileFormat::kBinary || format == FileFormat::kOnlyMetadata;
}
[[nodiscard]] inline bool takes_schema(FileFormat format) {
  return format == FileFormat::kCsv || format == FileFormat::kJson;
}

struct FileReadSettings {
  FileSelection selection;
  FileFormat format = FileFormat::kCsv;
  bool is_static = false;
  CsvFormat csv;
  JsonPaths json_paths;
  bool with_metadata = false;
  std::size_t record_bytes_max = 0;
  std::size_t file_bytes_max = 0;    // of formats by file
  bool counts_records = false;       // somebody bounds what waits by records
  std::int64_t refresh_ns = 0;       // polling interval; also beside inotify, which sees no network file systems
  std::int64_t partial_line_ns = 0;  // streaming: how long a last line may lack its end
  BadRowPolicy::Action on_bad_row = BadRowPolicy::Action::kLog;
  std::string dead_letter;  // a path, or empty

  // `connector` fixes the format (`io.csv.read`) or leaves it to `format` and the extension (`io.fs.read`).
  // `disk` is looked at only to find the extension of a directory's files.
  static Result<FileReadSettings> from(std::string_view connector, const Setting& args, Disk& disk);
};

[[nodiscard]] std::vector<config::OptionSpec> file_read_options(std::string_view connector);
[[nodiscard]] std::vector<config::OptionSpec> csv_options();
// Reads the options of csv_options and the map `csv_settings`.
[[nodiscard]] Result<CsvFormat> csv_format_from(const Setting& args);
// The format that an extension means.
[[nodiscard]] std::optional<FileFormat> format_of_extension(std::string_view path);
// A path without `file://`.
[[nodiscard]] std::string local_path(std::string path);

}  // namespace thalweg
