// tests/fuzz/decode_block.h
//
// Any bytes as one block of a file: rows with all columns of one length, or bad records; never a crash.
#pragma once

#include <cstdlib>
#include <cstring>
#include <string>

#include "connectors/file/source.h"

namespace thalweg::fuzz {

class CheckedRows final : public RowSink {
 public:
  explicit CheckedRows(std::size_t columns) : columns_(columns) {}
  void rows(Batch batch) override {
    if (batch.columns.size() != columns_) std::abort();
    for (const Column& column : batch.columns)
      if (column.size() != batch.num_rows) std::abort();
    // Every byte that a view names is readable: the sanitizer looks.
    for (const Column& column : batch.columns) {
      if (column.phys() != Phys::kView) continue;
      for (std::size_t i = 0; i < column.size(); ++i)
        for (char c : column.views()[i].view()) sum_ = sum_ + static_cast<unsigned char>(c);
    }
  }
  void bad_record(BadRecord record) override {
    if (record.raw.size() > BadRecord::kRawBytesMax) std::abort();
  }

 private:
  const std::size_t columns_;
  volatile unsigned sum_ = 0;
};

inline void decode_block(FileFormat format, const std::uint8_t* data, std::size_t size) {
  plan::Source source;
  source.connector = format == FileFormat::kCsv ? "io.csv.read" : "io.jsonlines.read";
  source.needs_keys = size % 2 == 0;
  std::vector<std::string> names;
  const std::pair<const char*, Type> fields[] = {
      {"a", Type(Kind::kInt)},  {"b", Type(Kind::kStr, true)},  {"c", Type(Kind::kFloat, true)},
      {"d", Type(Kind::kBool)}, {"e", Type(Kind::kJson, true)}, {"f", Type(Kind::kDateTimeUtc, true)}};
  for (const auto& [name, type] : fields) {
    plan::SourceField field;
    field.name = field.external_name = name;
    field.type = type;
    source.fields.push_back(field);
    names.emplace_back(name);
  }
  FileReadSettings settings;
  settings.format = format;
  auto shared = share_file_source(source, settings);
  if (!shared) std::abort();
  auto block = std::make_shared<Block>(std::max<std::size_t>(size, 64));
  if (size > 0) std::memcpy(block->data(), data, size);
  block->seal(size);
  BlockInfo info;
  info.path = std::make_shared<const std::string>("fuzz");
  info.csv_header = std::make_shared<const CsvHeader>(CsvHeader::from_names((*shared)->layout, names));
  CheckedRows out(source.fields.size());
  FilePiece(*shared, block, size, info).decode(out);
}

}  // namespace thalweg::fuzz
