// connectors/formats/avro.h
//
// Avro's binary encoding: a writer's schema, records read by it into cells, rows written as records.
//
// A1  Fields of a record and columns meet by name. A nullable union is an optional column; other unions, maps, and
//     records inside of records read as json columns (or `any`).
// A2  Logical types: date, time-*, timestamp-*, local-timestamp-*, decimal (as float or text), uuid. Types without one
//     read as numbers, texts and bytes do in JSON.
// A3  Broken bytes are a bad record, whatever they are: lengths are checked, nesting ends at 64.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/formats/row_writer.h"
#include "engine/base/result.h"
#include "engine/types/batch.h"

namespace thalweg {

class AvroSchema {
 public:
  enum class Kind : std::uint8_t {
    kNull,
    kBoolean,
    kInt,
    kLong,
    kFloat,
    kDouble,
    kBytes,
    kString,
    kFixed,
    kEnum,
    kArray,
    kMap,
    kUnion,
    kRecord
  };
  enum class Logical : std::uint8_t {
    kNone,
    kDate,
    kTimeMillis,
    kTimeMicros,
    kMillis,  // timestamps
    kMicros,
    kNanos,
    kDecimal,
    kUuid
  };
  struct Node {
    Kind kind = Kind::kNull;
    Logical logical = Logical::kNone;
    std::vector<std::string> names;     // of fields, or symbols
    std::vector<std::uint32_t> inside;  // types of fields, branches, or the one of items
    std::size_t size = 0;               // kFixed
    int scale = 0;                      // kDecimal
  };

  // kBadData: no schema of Avro.
  static Result<std::shared_ptr<const AvroSchema>> parse(std::string_view json);
  [[nodiscard]] const Node& node(std::uint32_t index) const { return nodes_[index]; }
  [[nodiscard]] std::uint32_t root() const { return root_; }

 private:
  friend class AvroSchemaParser;
  std::vector<Node> nodes_;
  std::uint32_t root_ = 0;
};

// A schema seen with the columns that are read by it.
// Threads  any, after building.
class AvroReader {
 public:
  // `layout` must outlive the reader. kBadData: the schema is not that of a record.
  static Result<std::unique_ptr<AvroReader>> make(const RecordLayout& layout, std::shared_ptr<const AvroSchema> schema);
  // Reads one record and writes its cells; empty, or what is wrong with the bytes. The row is not finished.
  [[nodiscard]] std::string read(std::string_view bytes, RowWriter& rows) const;

 private:
  AvroReader(const RecordLayout& layout, std::shared_ptr<const AvroSchema> schema)
      : layout_(layout), schema_(std::move(schema)) {}
  const RecordLayout& layout_;
  const std::shared_ptr<const AvroSchema> schema_;
  std::vector<std::int32_t> fields_;   // of the layout, by field of the record; -1: nobody reads it
  std::vector<std::uint32_t> absent_;  // fields of the layout that the record does not have
};

// Rows as records of a schema made of the table's: `diff` and `time` at the end, where they are wanted.
class AvroWriter {
 public:
  AvroWriter(Schema schema, std::string record_name, bool with_change);
  [[nodiscard]] const std::string& schema_json() const { return json_; }
  void row(const Batch& batch, std::size_t row, std::uint64_t time, std::string& out) const;

 private:
  const Schema schema_;
  const bool with_change_;
  std::string json_;
};

}  // namespace thalweg
