// connectors/formats/format.h
//
// Bytes → rows. A format has two halves: the cutter, which the reading thread uses to end blocks where a record ends,
// and the decoder, which workers use to turn a block into columns.
//
// F1  Cutter and decoder agree on where records begin, also in malformed input.
// F2  Decoders have no state of their own: any number of threads may use one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "connectors/formats/block.h"
#include "connectors/formats/layout.h"
#include "connectors/formats/report.h"
#include "engine/types/batch.h"

namespace thalweg {

struct CsvHeader;
class RowWriter;

// What records have beside their bytes, where each of them came in a message: record `index` of the block is line
// first_line + index, and messages without content are blank lines.
class Envelope {
 public:
  virtual ~Envelope() = default;
  // Writes the fields that are not of the payload.
  virtual void fill(RowWriter& rows, std::size_t index) const = 0;
  // A record without content: a deletion, or a bad record.
  virtual void empty(RowWriter& rows, const char* record, std::size_t index) const = 0;
  [[nodiscard]] virtual Key key(std::size_t index) const = 0;               // where keys are generated
  [[nodiscard]] virtual std::string position(std::size_t index) const = 0;  // `topic/0@42`
};

// What a decoder must know of a block beside its bytes.
struct BlockInfo {
  std::shared_ptr<const std::string> path;  // for messages
  std::uint64_t first_line = 0;             // from 0
  Diff diff = 1;
  std::uint64_t key_source = 0;  // generated keys are sequence_key(key_source, key_first + line) …
  std::uint64_t key_first = 0;
  std::vector<Key> keys;                        // … or, where not empty, those of the records at record_offsets
  std::vector<std::uint32_t> record_offsets;    // where the records begin (rising), if keys or lines go by record
  std::vector<std::uint64_t> record_lines;      // their lines, if they do not follow one another
  std::shared_ptr<const std::string> metadata;  // compact JSON, if the layout has such a column
  std::shared_ptr<const CsvHeader> csv_header;
  const Envelope* envelope = nullptr;  // records come in messages
  bool gaps = false;                   // their generated keys come from the envelope: numbers are missing
};

class RecordDecoder {
 public:
  virtual ~RecordDecoder() = default;
  virtual void decode(const BlockRef& block, const BlockInfo& info, Reporter& report) const = 0;
};

class RecordCutter {
 public:
  virtual ~RecordCutter() = default;
  // How many leading bytes are whole records. `data` begins at the start of a record.
  [[nodiscard]] virtual std::size_t whole_records(std::string_view data) const = 0;
  // The end of the first record, if it is whole; the last record of an input may lack its line end.
  [[nodiscard]] virtual std::size_t record_end(std::string_view data) const = 0;
};

// Records are lines (JSON lines, plain text).
class LineCutter final : public RecordCutter {
 public:
  [[nodiscard]] std::size_t whole_records(std::string_view data) const override;
  [[nodiscard]] std::size_t record_end(std::string_view data) const override;
};

[[nodiscard]] std::size_t count_lines(std::string_view data);
[[nodiscard]] bool is_utf8(std::string_view data);

}  // namespace thalweg
