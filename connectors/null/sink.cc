#include "connectors/null/sink.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace thalweg {

namespace {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text;
}

}  // namespace

Result<void> write_to_stdout(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return {};
  return fail(Code::kIo, std::string("cannot write to the standard output: ") + std::strerror(errno));
}

Result<void> StdoutSink::write(std::uint64_t commit, const Batch& batch) {
  for (std::size_t i = 0; i < batch.num_rows; ++i) {
    if (!as_table_) {
      json_.row(batch, i, &commit, text_);
      continue;
    }
    Row& row = rows_.emplace_back();
    for (std::size_t c = 0; c < schema_.size(); ++c)
      row.push_back(printable(batch.columns[c].value(schema_.columns[c].type, i).to_text()));
    row.push_back(std::to_string(commit));
    row.push_back(std::to_string(batch.diff(i)));
  }
  return {};
}

void StdoutSink::append_table(std::string& out) {
  Row header = schema_.names();
  header.insert(header.end(), {"__time__", "__diff__"});
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < header.size(); ++c) {
    std::size_t width = width_of(header[c]);
    for (const Row& row : rows_) width = std::max(width, width_of(row[c]));
    widths.push_back(width);
  }
  auto line = [&](const Row& row) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c) out += " | ";
      out += row[c];
      if (c + 1 < row.size()) out.append(widths[c] - width_of(row[c]), ' ');
    }
    out += '\n';
  };
  line(header);
  for (const Row& row : rows_) line(row);
  rows_.clear();
}

Result<void> StdoutSink::end(std::uint64_t /*commit*/) {
  std::string out = std::exchange(text_, {});
  if (!rows_.empty()) append_table(out);
  return out.empty() ? Result<void>{} : write_(out);
}

}  // namespace thalweg
