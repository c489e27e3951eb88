#include "engine/base/file_table.h"

#include <algorithm>

namespace thalweg {

FileId FileTable::add(std::string name, std::string text) {
  File file{.name = std::move(name), .text = std::move(text), .line_starts = {0}};
  for (std::size_t i = 0; i < file.text.size(); ++i)
    if (file.text[i] == '\n') file.line_starts.push_back(static_cast<std::uint32_t>(i + 1));
  files_.push_back(std::move(file));
  return static_cast<FileId>(files_.size());
}

const FileTable::File* FileTable::find(FileId id) const {
  return id == kNoFile || id > files_.size() ? nullptr : &files_[id - 1];
}

std::string_view FileTable::name(FileId id) const {
  const File* file = find(id);
  return file ? std::string_view(file->name) : std::string_view();
}

std::string_view FileTable::text(FileId id) const {
  const File* file = find(id);
  return file ? std::string_view(file->text) : std::string_view();
}

std::size_t FileTable::line_index(const File& file, std::uint32_t offset) const {
  auto after = std::upper_bound(file.line_starts.begin(), file.line_starts.end(), offset);
  return static_cast<std::size_t>(after - file.line_starts.begin()) - 1;
}

LineColumn FileTable::locate(FileId id, std::uint32_t offset) const {
  const File* file = find(id);
  if (!file) return {};
  offset = std::min(offset, static_cast<std::uint32_t>(file->text.size()));
  std::size_t line = line_index(*file, offset);
  std::uint32_t column = 1;
  for (std::uint32_t i = file->line_starts[line]; i < offset; ++i)
    if ((static_cast<unsigned char>(file->text[i]) & 0xC0U) != 0x80U) ++column;  // count code points, not bytes
  return {static_cast<std::uint32_t>(line + 1), column};
}

std::string_view FileTable::line_at(FileId id, std::uint32_t offset) const {
  const File* file = find(id);
  if (!file) return {};
  offset = std::min(offset, static_cast<std::uint32_t>(file->text.size()));
  std::size_t line = line_index(*file, offset);
  std::string_view text = file->text;
  std::size_t begin = file->line_starts[line];
  std::size_t end = text.find('\n', begin);
  if (end == std::string_view::npos) end = text.size();
  if (end > begin && text[end - 1] == '\r') --end;
  return text.substr(begin, end - begin);
}

}  // namespace thalweg
