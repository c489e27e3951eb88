#include "connectors/file/infer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "connectors/file/block_reader.h"
#include "connectors/formats/json_scan.h"
#include "connectors/formats/json_value.h"
#include "connectors/formats/text_value.h"
#include "engine/types/from_text.h"

namespace thalweg {

namespace {

constexpr std::size_t kSampleBlockBytes = 256 * 1024;
constexpr std::size_t kFilesMax = 3;

// What the values of one column have been so far.
struct Guess {
  std::optional<Kind> kind;
  bool optional = false;
  std::size_t seen = 0;

  void add(Kind next, Kind mixed) {
    ++seen;
    if (!kind || *kind == next) {
      kind = next;
      return;
    }
    bool numbers = (*kind == Kind::kInt && next == Kind::kFloat) || (*kind == Kind::kFloat && next == Kind::kInt);
    kind = numbers ? Kind::kFloat : mixed;
  }
};

bool looks_like_a_name(std::string_view digits) {
  if (digits.starts_with('-')) digits.remove_prefix(1);
  bool only_digits = !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  return only_digits && ((digits.size() > 1 && digits[0] == '0') || digits.size() > 18);
}

class Sampler {
 public:
  Sampler(const FileReadSettings& settings, Disk& disk, const InferOptions& options)
      : settings_(settings), disk_(disk), options_(options), left_(options.records_max.value_or(SIZE_MAX)) {}

  Result<InferredFields> run() {
    auto scan = TRY(scan_files(disk_, settings_.selection));
    if (scan.files.empty()) {
      result_.warnings.push_back(
          fmt::format("there is no file at '{}' to infer the columns from", settings_.selection.path));
      return std::move(result_);
    }
    for (std::size_t i = 0; i < scan.files.size() && i < kFilesMax && left_ > 0; ++i) TRY(sample(scan.files[i].path));
    for (const std::string& name : order_) result_.fields.push_back(field(name));
    if (order_.empty())
      result_.warnings.push_back(fmt::format("'{}' has no records to infer the columns from", scan.files[0].path));
    return std::move(result_);
  }

 private:
  Result<void> sample(const std::string& path) {
    auto file = TRY(disk_.open_read(path));
    auto bytes = open_bytes(*file, path, compression_of(path));
    bool is_csv = settings_.format == FileFormat::kCsv;
    std::unique_ptr<RecordCutter> cutter;
    if (is_csv)
      cutter = std::make_unique<CsvCutter>(settings_.csv);
    else
      cutter = std::make_unique<LineCutter>();
    BlockReader reader(*bytes, *cutter, std::make_shared<BlockPool>(kSampleBlockBytes), 0,
                       {.record_bytes_max = settings_.record_bytes_max}, [](const BlockReader::BadPart&) {});
    header_.clear();
    while (left_ > 0) {
      auto cut = TRY(reader.next(true));
      if (!cut) return {};
      std::string_view data = cut->block->view();
      while (!data.empty() && left_ > 0) {
        std::string_view record = data.substr(0, std::max<std::size_t>(cutter->record_end(data), 1));
        data.remove_prefix(record.size());
        if (is_csv)
          csv_record(record);
        else
          json_record(record);
      }
    }
    return {};
  }

  void csv_record(std::string_view record) {
    if (is_csv_noise(settings_.csv, record) || !is_utf8(record)) return;
    std::vector<std::string> cells = split_csv_record(settings_.csv, record);
    if (header_.empty()) {
      bool named = settings_.csv.header;
      for (std::size_t i = 0; i < cells.size(); ++i)
        header_.push_back(named ? cells[i] : fmt::format("column_{}", i + 1));
      for (const std::string& name : header_) guess(name);
      if (named) return;
    }
    --left_;
    for (std::size_t i = 0; i < cells.size() && i < header_.size(); ++i) csv_cell(guess(header_[i]), cells[i]);
  }

  void csv_cell(Guess& g, const std::string& cell) {
    if (is_none_token(cell)) {
      g.optional = true;
      return;
    }
    g.add(csv_kind(cell), Kind::kStr);
  }

  [[nodiscard]] Kind csv_kind(const std::string& cell) const {
    if (!options_.numbers_and_text_only) {
      if (bool_from_text(cell)) return Kind::kBool;
      if (looks_like_a_name(cell)) return Kind::kStr;
    }
    if (int_from_token(cell)) return Kind::kInt;
    if (float_from_token(cell)) return Kind::kFloat;
    return Kind::kStr;
  }

  // Requires: the record is in a sealed block.
  void json_record(std::string_view record) {
    const char* p = json::skip_blanks(record.data());
    bool blanks = false;
    const char* end = *p == '{' ? json::skip_value(p, blanks) : nullptr;
    if (!end || *json::skip_blanks(end) != '\n' || !is_utf8(record)) return;
    --left_;
    ++json_records_;
    for (p = json::skip_blanks(p + 1); *p == '"';) {
      bool escaped = false;
      const char* close = json::string_end(p + 1, escaped);
      std::string name(p + 1, close);
      if (std::string plain; escaped && json::unescape(name, plain)) name = plain;
      p = json::skip_blanks(json::skip_blanks(close + 1) + 1);
      json_member(guess(name), p);
      p = json::skip_blanks(json::skip_value(p, blanks));
      if (*p == ',') p = json::skip_blanks(p + 1);
    }
  }

  static void json_member(Guess& g, const char* p) {
    switch (*p) {
      case 'n':
        g.optional = true;
        ++g.seen;
        return;
      case '"': return g.add(Kind::kStr, Kind::kJson);
      case 't':
      case 'f': return g.add(Kind::kBool, Kind::kJson);
      case '{':
      case '[': return g.add(Kind::kJson, Kind::kJson);
      default: return g.add(json::skip_number(p).is_integer ? Kind::kInt : Kind::kFloat, Kind::kJson);
    }
  }

  Guess& guess(const std::string& name) {
    auto [at, is_new] = guesses_.try_emplace(name);
    if (is_new) order_.push_back(name);
    return at->second;
  }

  plan::SourceField field(const std::string& name) {
    const Guess& g = guesses_[name];
    bool is_json = settings_.format == FileFormat::kJson;
    Kind kind = g.kind.value_or(is_json ? Kind::kJson : Kind::kStr);
    bool optional = !options_.numbers_and_text_only && (g.optional || (is_json && g.seen < json_records_));
    return {.name = name, .external_name = name, .type = Type(kind, optional)};
  }

  const FileReadSettings& settings_;
  Disk& disk_;
  const InferOptions& options_;
  std::size_t left_;  // records still to look at
  std::vector<std::string> header_;
  std::map<std::string, Guess> guesses_;
  std::vector<std::string> order_;
  std::size_t json_records_ = 0;
  InferredFields result_;
};

}  // namespace

Result<InferredFields> infer_fields(const FileReadSettings& settings, Disk& disk, const InferOptions& options) {
  return Sampler(settings, disk, options).run();
}

}  // namespace thalweg
