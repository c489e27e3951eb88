#include "pipeline_lang/csv_sample.h"

#include <string>
#include <vector>

#include "engine/types/from_text.h"

namespace thalweg::lang {
namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, const CsvSampleOptions& options) : text_(text), options_(options) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  // The next record, or nothing at the end. Blank and comment lines are skipped.
  std::optional<std::vector<std::string>> next() {
    while (at_ < text_.size()) {
      if (text_[at_] == '\n' || text_[at_] == '\r') {
        ++at_;
      } else if (options_.comment != '\0' && text_[at_] == options_.comment) {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        return record();
      }
    }
    return std::nullopt;
  }

 private:
  std::vector<std::string> record() {
    std::vector<std::string> cells;
    while (true) {
      cells.push_back(cell());
      if (at_ >= text_.size() || text_[at_] != options_.delimiter) return cells;
      ++at_;
    }
  }

  std::string cell() {
    std::string out;
    bool quoted = false;
    if (at_ < text_.size() && text_[at_] == options_.quote) {
      quoted = true;
      ++at_;
    }
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (options_.escape != '\0' && c == options_.escape && at_ + 1 < text_.size()) {
        out += text_[++at_];
      } else if (quoted && c == options_.quote) {
        const bool doubled =
            options_.double_quote_escapes && at_ + 1 < text_.size() && text_[at_ + 1] == options_.quote;
        if (doubled)
          out += text_[++at_];
        else
          quoted = false;
      } else if (!quoted && (c == options_.delimiter || c == '\n' || c == '\r')) {
        break;
      } else {
        out += c;
      }
    }
    return out;
  }

  std::string_view text_;
  const CsvSampleOptions& options_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Schema> csv_sample_schema(std::string_view text, const CsvSampleOptions& options) {
  CsvReader reader(text, options);
  const auto header = reader.next();
  if (!header) return fail(Code::kBadData, "the file has no header");
  std::vector<bool> may_be_int(header->size(), true), may_be_float(header->size(), true), seen(header->size(), false);
  for (std::size_t row = 0; !options.rows_max || row < *options.rows_max; ++row) {
    const auto cells = reader.next();
    if (!cells) break;
    for (std::size_t i = 0; i < header->size() && i < cells->size(); ++i) {
      const std::string& cell = (*cells)[i];
      if (cell.empty()) continue;
      seen[i] = true;
      if (!int_from_text(cell)) may_be_int[i] = false;
      if (!float_from_text(cell)) may_be_float[i] = false;
    }
  }
  Schema out;
  for (std::size_t i = 0; i < header->size(); ++i) {
    const Kind kind = !seen[i] ? Kind::kStr : may_be_int[i] ? Kind::kInt : may_be_float[i] ? Kind::kFloat : Kind::kStr;
    out.columns.push_back({(*header)[i], kind});
  }
  return out;
}

}  // namespace thalweg::lang
