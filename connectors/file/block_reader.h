// connectors/file/block_reader.h
//
// Cuts the bytes of a file into blocks of whole records.
//
// R1  Every record is in exactly one block, but for those that are given to `on_bad`: longer than record_bytes_max, or
//     (csv) with a quote that nothing closes; after the latter reading goes on at the next line.
// R2  Holds one block and one record's worth of carried bytes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "connectors/file/byte_reader.h"
#include "connectors/formats/format.h"

namespace thalweg {

struct BlockReaderOptions {
  std::size_t record_bytes_max = 16ULL << 20;
  bool skip_byte_order_mark = true;  // the input begins with the file's first byte
  // Bytes that are likely to come, so that a small read takes a small block.
  std::uint64_t expected_bytes = 0;
};

class BlockReader {
 public:
  struct Cut {
    std::shared_ptr<Block> block;
    std::uint64_t first_line = 0;
  };
  struct BadPart {
    std::string message;
    std::string raw;
    std::uint64_t line = 0;  // from 0
  };
  using OnBad = std::function<void(BadPart)>;

  BlockReader(ByteReader& bytes, const RecordCutter& cutter, std::shared_ptr<BlockPool> pool, std::uint64_t first_line,
              BlockReaderOptions options, OnBad on_bad)
      : bytes_(bytes),
        cutter_(cutter),
        pool_(std::move(pool)),
        options_(options),
        on_bad_(std::move(on_bad)),
        line_(first_line) {}

  // The next block; none at the end. `final`: the last record may lack its line end; otherwise such bytes stay unread.
  Result<std::optional<Cut>> next(bool final);
  // After the end: bytes that begin a record which is not whole.
  [[nodiscard]] const std::string& rest() const { return carry_; }
  [[nodiscard]] std::uint64_t line() const { return line_; }  // of the next record
  // Bytes of the input (decompressed) before the next record.
  [[nodiscard]] std::uint64_t consumed() const { return consumed_; }

 private:
  Result<std::size_t> fill(Block& block, std::size_t have);
  std::optional<Cut> take(std::shared_ptr<Block> block, std::size_t filled, std::size_t cut);
  Result<void> skip_long_record(const Block& block, std::size_t filled);
  void drop_unclosed(const Block& block, std::size_t filled);

  ByteReader& bytes_;
  const RecordCutter& cutter_;
  const std::shared_ptr<BlockPool> pool_;
  const BlockReaderOptions options_;
  const OnBad on_bad_;
  std::string carry_;
  std::uint64_t line_;
  std::uint64_t consumed_ = 0;
  std::size_t room_ = 0;  // of the next block, while a long record makes it grow
  bool ended_ = false;
  bool begun_ = false;
};

}  // namespace thalweg
