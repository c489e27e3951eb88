#include "connectors/formats/csv.h"

#include <emmintrin.h>
#include <fmt/format.h>

#include <unordered_map>

#include "connectors/formats/fast_number.h"
#include "connectors/formats/row_writer.h"
#include "connectors/formats/text_value.h"

namespace thalweg {

namespace {

// Delimiters and line ends of a sealed block, in order; 64 bytes are looked at at a time.
class Separators {
 public:
  Separators(const char* begin, char delimiter)
      : delimiter_(_mm_set1_epi8(delimiter)), line_end_(_mm_set1_epi8('\n')), base_(begin), mask_(mask_at(begin)) {}
  // The first one that next() has not given yet. A sealed block has one before its end.
  const char* next() {
    while (mask_ == 0) mask_ = mask_at(base_ += 64);
    const char* at = base_ + __builtin_ctzll(mask_);
    mask_ &= mask_ - 1;
    return at;
  }
  // Drops those before `p`.
  void seek(const char* p) {
    if (p >= base_ + 64) {
      base_ = p;
      mask_ = mask_at(p);
    } else if (p > base_) {
      mask_ &= ~std::uint64_t{0} << (p - base_);
    }
  }

 private:
  [[nodiscard]] std::uint64_t mask_at(const char* p) const {
    std::uint64_t mask = 0;
    for (int i = 0; i < 4; ++i) {
      __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
      __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(bytes, delimiter_), _mm_cmpeq_epi8(bytes, line_end_));
      mask |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(hit))) << (16 * i);
    }
    return mask;
  }
  const __m128i delimiter_;
  const __m128i line_end_;
  const char* base_;
  std::uint64_t mask_;
};

// The closing quote of content that begins at `p`, or null. `plain`: the content is its bytes as they are.
const char* closing_quote(const CsvFormat& format, const char* p, const char* end, bool& plain) {
  const char quote = *format.quote;
  while (p < end) {
    if (format.escape && *format.escape != quote) {
      while (p < end && *p != quote && *p != *format.escape) ++p;
      if (p < end && *p == *format.escape) {
        plain = false;
        p += 2;
        continue;
      }
    } else {
      p = static_cast<const char*>(std::memchr(p, quote, static_cast<std::size_t>(end - p)));
    }
    if (!p || p >= end) return nullptr;
    bool doubled = p + 1 < end && p[1] == quote && (format.double_quotes || format.escape == quote);
    if (!doubled) return p;
    plain = false;
    p += 2;
  }
  return nullptr;
}

void append_quoted_content(const CsvFormat& format, std::string_view content, std::string& out) {
  const char quote = *format.quote;
  const char escape = format.escape.value_or(quote);
  std::size_t done = 0;
  for (std::size_t i = 0; i + 1 < content.size(); ++i) {
    if (content[i] != quote && content[i] != escape) continue;
    out.append(content, done, i - done);
    done = ++i;  // the byte after it is itself
  }
  out.append(content, done);
}

class CsvBlock {
 public:
  CsvBlock(const CsvFormat& format, const RecordLayout& layout, const BlockRef& block, const BlockInfo& info,
           Reporter& report)
      : format_(format),
        layout_(layout),
        header_(*info.csv_header),
        rows_(layout, block, info, report),
        separators_(block->data(), format.delimiter),
        end_(block->data() + block->size()),
        line_(info.first_line),
        quote_(format.quote.value_or('\0')),
        quoting_(format.quote.has_value()),
        check_utf8_(rows_.must_check_utf8()) {
    for (const RecordField& field : layout.fields) kinds_.push_back(field.type.kind());
  }

  void decode(const char* p) {
    while (p < end_) p = record(p);
    rows_.flush();
  }

 private:
  const char* record(const char* start) {
    if (*start == '\n' || (*start == '\r' && start[1] == '\n') || (format_.comment && *start == *format_.comment))
      return next_line(start);
    const std::uint64_t first_line = line_;
    const std::size_t num_columns = header_.fields.size();
    std::size_t column = 0;
    const char* p = start;
    while (true) {
      const std::int32_t field = column < num_columns ? header_.fields[column] : -1;
      ++column;
      const char* stop;
      if (quoting_ && *p == quote_) {
        stop = quoted(p, field);
      } else {
        stop = separators_.next();
        if (field >= 0) {
          auto length = static_cast<std::size_t>(stop - p);
          if (*stop == '\n' && length && stop[-1] == '\r') --length;
          token(static_cast<std::size_t>(field), p, length);
        }
      }
      p = stop + 1;
      if (*stop == '\n') break;
    }
    ++line_;
    if (column > num_columns) {
      rows_.bad_record(start, start, first_line,
                       fmt::format("the record has {} fields, {}", column,
                                   format_.header ? fmt::format("the header {}", num_columns)
                                                  : fmt::format("the schema {} columns", num_columns)));
      return p;
    }
    if (column < num_columns) fill_short(start, column);
    for (std::uint32_t field : header_.absent) rows_.fill_missing(field, start, false);
    rows_.finish_row(start, first_line);
    return p;
  }

  const char* next_line(const char* p) {
    const char* stop = static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end_ - p)));
    separators_.seek(stop + 1);
    ++line_;
    return stop + 1;
  }

  void fill_short(const char* start, std::size_t column) {
    for (std::size_t field = 0; field < header_.columns.size(); ++field)
      if (header_.columns[field] >= static_cast<std::int32_t>(column)) rows_.fill_missing(field, start);
  }

  // Reads a quoted field; the separator after it.
  const char* quoted(const char* p, std::int32_t field) {
    bool plain = true;
    const char* close = closing_quote(format_, p + 1, end_, plain);
    // The cutter lets no record through whose quote is not closed, but for the line that it reports itself.
    if (!close) close = end_ - 1;
    std::string_view content(p + 1, static_cast<std::size_t>(close - p - 1));
    if (std::memchr(content.data(), '\n', content.size())) line_ += count_lines(content);
    separators_.seek(close + (close + 1 < end_ ? 1 : 0));
    const char* stop = separators_.next();
    if (field < 0) return stop;
    std::string_view rest(close + 1, stop > close ? static_cast<std::size_t>(stop - close - 1) : 0);
    if (*stop == '\n' && rest.ends_with('\r')) rest.remove_suffix(1);
    if (plain && rest.empty()) {
      token(static_cast<std::size_t>(field), content.data(), content.size());
      return stop;
    }
    scratch_.clear();
    append_quoted_content(format_, content, scratch_);
    scratch_ += rest;
    // Read ahead is allowed within the block only: the text moves to where 16 bytes are there to read.
    char* moved = rows_.heap().allocate(scratch_.size() + 16);
    std::memcpy(moved, scratch_.data(), scratch_.size());
    std::memset(moved + scratch_.size(), 0, 16);
    token(static_cast<std::size_t>(field), moved, scratch_.size());
    return stop;
  }

  void token(std::size_t field, const char* p, std::size_t length) {
    std::int64_t v = 0;
    double d = 0;
    switch (kinds_[field]) {
      case Kind::kStr: return text(field, p, length);
      case Kind::kInt:
      case Kind::kDuration:
        if (fast_int(p, length, v)) return rows_.put_int(field, v);
        break;
      case Kind::kFloat:
        if (fast_float(p, length, d)) return rows_.put_float(field, d);
        break;
      case Kind::kBool:
        if (length == 4 && std::memcmp(p, "true", 4) == 0) return rows_.put_bool(field, true);
        if (length == 5 && std::memcmp(p, "false", 5) == 0) return rows_.put_bool(field, false);
        break;
      case Kind::kDateTimeNaive:
        if (fast_datetime(p, length, v)) return rows_.put_int(field, v);
        break;
      case Kind::kDateTimeUtc:
        if (fast_datetime(p, length && p[length - 1] == 'Z' ? length - 1 : length, v)) return rows_.put_int(field, v);
        break;
      default: break;
    }
    other(field, {p, length});
  }

  void text(std::size_t field, const char* p, std::size_t length) {
    if (length > 0xFFFFFFFFU) return rows_.put_error(field, p, "is larger than 4 GiB");
    if (length <= 4 && layout_.fields[field].type.optional() && is_none_token({p, length}))
      return none(field, p, length);
    if (check_utf8_ && !is_utf8({p, length})) return rows_.put_error(field, p, "is not valid UTF-8");
    rows_.put_view(field, padded_view(p, static_cast<std::uint32_t>(length)));
  }

  // An empty optional field takes the default if there is one; a None word is None.
  void none(std::size_t field, const char* p, std::size_t length) {
    if (length == 0)
      rows_.fill_missing(field, p);
    else
      rows_.put_none(field);
  }

  // Rare types, None, and what does not fit.
  void other(std::size_t field, std::string_view text) {
    const RecordField& f = layout_.fields[field];
    if (text.empty() && f.default_value) return rows_.put_value(field, *f.default_value);
    if (f.type.optional() && is_none_token(text)) return rows_.put_none(field);
    if (auto value = token_to_value(f.type, text)) return rows_.put_value(field, *value);
    constexpr std::size_t kShownBytes = 80;
    rows_.put_error(field, text.data(),
                    text.empty() ? fmt::format("is empty, not {}", f.type.to_text())
                                 : fmt::format("is `{}`{}, not {}", text.substr(0, kShownBytes),
                                               text.size() > kShownBytes ? "…" : "", f.type.to_text()));
  }

  const CsvFormat& format_;
  const RecordLayout& layout_;
  const CsvHeader& header_;
  RowWriter rows_;
  Separators separators_;
  const char* const end_;
  std::uint64_t line_;
  const char quote_;
  const bool quoting_;
  const bool check_utf8_;
  std::vector<Kind> kinds_;
  std::string scratch_;
};

void note_absent(CsvHeader& header) {
  for (std::size_t i = 0; i < header.columns.size(); ++i)
    if (header.columns[i] < 0) header.absent.push_back(static_cast<std::uint32_t>(i));
}

}  // namespace

CsvHeader CsvHeader::from_names(const RecordLayout& layout, const std::vector<std::string>& names) {
  std::unordered_map<std::string_view, std::int32_t> by_name;
  for (std::size_t i = 0; i < layout.fields.size(); ++i)
    by_name.emplace(layout.fields[i].external_name, static_cast<std::int32_t>(i));
  CsvHeader header{.fields = {}, .columns = std::vector<std::int32_t>(layout.fields.size(), -1), .absent = {}};
  for (const std::string& name : names) {
    auto found = by_name.find(name);
    bool wanted = found != by_name.end() && header.columns[static_cast<std::size_t>(found->second)] < 0;
    if (wanted)
      header.columns[static_cast<std::size_t>(found->second)] = static_cast<std::int32_t>(header.fields.size());
    header.fields.push_back(wanted ? found->second : -1);
  }
  note_absent(header);
  return header;
}

CsvHeader CsvHeader::by_position(const RecordLayout& layout) {
  CsvHeader header{
      .fields = layout.position, .columns = std::vector<std::int32_t>(layout.fields.size(), -1), .absent = {}};
  for (std::size_t i = 0; i < header.fields.size(); ++i)
    if (header.fields[i] >= 0)
      header.columns[static_cast<std::size_t>(header.fields[i])] = static_cast<std::int32_t>(i);
  note_absent(header);
  return header;
}

std::size_t CsvCutter::record_end(std::string_view data) const {
  if (data.empty()) return 0;
  const char* const begin = data.data();
  const char* const end = begin + data.size();
  auto find = [&](const char* from, const char* to, char c) {
    return static_cast<const char*>(std::memchr(from, c, static_cast<std::size_t>(to - from)));
  };
  const char* line_end = find(begin, end, '\n');
  if (format_.quote && !(format_.comment && *begin == *format_.comment)) {
    const char* p = begin;
    while (true) {
      const char* limit = line_end ? line_end : end;
      const char* quote = p < limit ? find(p, limit, *format_.quote) : nullptr;
      if (!quote) break;
      bool opens = quote == begin || quote[-1] == format_.delimiter;
      if (!opens) {
        p = quote + 1;
        continue;
      }
      bool plain = true;
      const char* close = closing_quote(format_, quote + 1, end, plain);
      if (!close) return 0;
      p = close + 1;
      // Text after the closing quote belongs to the field: a quote right there opens nothing.
      if (p < end && *p == *format_.quote) ++p;
      if (line_end && p > line_end) line_end = find(p, end, '\n');
    }
  }
  return line_end ? static_cast<std::size_t>(line_end - begin + 1) : 0;
}

std::size_t CsvCutter::whole_records(std::string_view data) const {
  bool quotes = format_.quote && data.find(*format_.quote) != std::string_view::npos;
  if (!quotes) {
    std::size_t at = data.rfind('\n');
    return at == std::string_view::npos ? 0 : at + 1;
  }
  std::size_t done = 0;
  while (std::size_t next = record_end(data.substr(done))) done += next;
  return done;
}

void CsvDecoder::decode(const BlockRef& block, const BlockInfo& info, Reporter& report) const {
  CsvBlock(format_, layout_, block, info, report).decode(block->data());
}

std::vector<std::string> split_csv_record(const CsvFormat& format, std::string_view record) {
  while (record.ends_with('\n') || record.ends_with('\r')) record.remove_suffix(1);
  std::vector<std::string> out;
  const char* p = record.data();
  const char* const end = p + record.size();
  while (true) {
    std::string& field = out.emplace_back();
    if (format.quote && p < end && *p == *format.quote) {
      bool plain = true;
      const char* close = closing_quote(format, p + 1, end, plain);
      if (!close) close = end;
      append_quoted_content(format, {p + 1, static_cast<std::size_t>(close - p - 1)}, field);
      p = close < end ? close + 1 : end;
    }
    const char* stop = p;
    while (stop < end && *stop != format.delimiter) ++stop;
    field.append(p, stop);
    if (stop == end) return out;
    p = stop + 1;
  }
}

bool is_csv_noise(const CsvFormat& format, std::string_view line) {
  return line.empty() || line[0] == '\n' || line.starts_with("\r\n") || line == "\r" ||
         (format.comment && line[0] == *format.comment);
}

}  // namespace thalweg
