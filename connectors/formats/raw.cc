#include "connectors/formats/raw.h"

#include "connectors/formats/row_writer.h"

namespace thalweg {

namespace {

constexpr std::uint64_t kViewBytesMax = 0xFFFFFFFF;

void put_data(RowWriter& rows, std::size_t field, std::string_view bytes, bool must_check) {
  bool is_text = rows.field(field).type.is(Kind::kStr);
  if (bytes.size() > kViewBytesMax)
    rows.put_error(field, bytes.data(), "is larger than 4 GiB");
  else if (is_text && must_check && !is_utf8(bytes))
    rows.put_error(field, bytes.data(), "is not valid UTF-8");
  else
    rows.put_view(field, StrView(bytes));
}

}  // namespace

void PlainTextDecoder::decode(const BlockRef& block, const BlockInfo& info, Reporter& report) const {
  RowWriter rows(layout_, block, info, report);
  bool must_check = rows.must_check_utf8();
  const char* p = block->data();
  const char* end = p + block->size();
  for (std::uint64_t line = info.first_line; p < end; ++line) {
    const char* line_end = static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
    std::string_view text(p, static_cast<std::size_t>(line_end - p));
    if (text.ends_with('\r')) text.remove_suffix(1);
    for (std::size_t i = 0; i < rows.num_fields(); ++i) put_data(rows, i, text, must_check);
    rows.finish_row(p, line);
    p = line_end + 1;
  }
  rows.flush();
}

void WholeFileDecoder::decode(const BlockRef& block, std::size_t bytes, const BlockInfo& info, Reporter& report) const {
  RowWriter rows(layout_, block, info, report);
  for (std::size_t i = 0; i < rows.num_fields(); ++i) put_data(rows, i, {block->data(), bytes}, rows.must_check_utf8());
  rows.finish_row(block->data(), info.first_line);
  rows.flush();
}

}  // namespace thalweg
