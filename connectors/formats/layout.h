// connectors/formats/layout.h
//
// Which fields of a record are read, and where they go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/plan/node.h"

namespace thalweg {

struct RecordField {
  std::string name;           // the column, for messages
  std::string external_name;  // in the record
  Type type;
  std::optional<Value> default_value;
  bool primary_key = false;
  std::int32_t column = -1;  // in the batch; -1: read for the key only
  plan::SourceField::From from = plan::SourceField::From::kPayload;
};

// L1  Fields that nobody uses are not here, unless the row key is made of them.
// L2  Fields of the payload come first; decoders fill those, the envelope of a message fills the others (format.h).
// L3  `key_fields` are in the order of declaration; empty where keys are generated or nobody asks for them.
struct RecordLayout {
  std::vector<RecordField> fields;          // read from the record
  std::size_t num_payload = 0;              // the first of them; the others are beside the payload
  std::vector<Type> column_types;           // of the batch: the used fields of the source, in order
  std::vector<std::uint32_t> key_fields;    // into fields
  std::vector<std::int32_t> position;       // of each declared payload field, in order: its index in fields or -1
  std::vector<std::string> declared_names;  // external names of the declared payload fields, in order
  std::optional<std::uint32_t> metadata;    // column of `_metadata`
  bool needs_keys = false;
  bool has_primary_key = false;

  // kInvalidPipeline for fields that come from where files have nothing (a message key, a partition).
  static Result<RecordLayout> of(const plan::Source& source);
  // Records in messages: keys, times, partitions and metadata are fields like others.
  static RecordLayout of_messages(const plan::Source& source);
  [[nodiscard]] bool generates_keys() const { return needs_keys && !has_primary_key; }
};

}  // namespace thalweg
