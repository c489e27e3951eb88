// connectors/file/source.h
//
// Reads files as they are (static) or as they are and change (streaming, see follow.h).
//
// S1  The reading thread only reads and cuts; workers parse. Its memory is what deliver() lets it have in flight.
// S2  Rows have the primary key's key, else one made of source name, path and line (static, append-only streams), or
//     of source name, path, the bytes of the row and how many equal rows precede it (streams that can retract).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "connectors/file/block_reader.h"
#include "connectors/file/settings.h"
#include "engine/io/counted_piece.h"
#include "engine/io/kept_piece.h"
#include "engine/io/reread.h"
#include "engine/io/source.h"

namespace thalweg {

// What pieces and the reading thread share; read-only but for the policy.
// The headers of the files that were read, for records that are read again by themselves. Threads  any.
class KnownHeaders {
 public:
  void add(const std::string& path, std::shared_ptr<const CsvHeader> header);
  // Of the file, else of the one that was read last; null: none was read.
  [[nodiscard]] std::shared_ptr<const CsvHeader> find(std::string_view path) const;

 private:
  static constexpr std::size_t kHeadersMax = 1000;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const CsvHeader>, std::less<>> by_path_;  // guarded by mutex_
  std::shared_ptr<const CsvHeader> last_;                                         // guarded by mutex_
};

struct FileSourceShared {
  FileReadSettings settings;
  RecordLayout layout;
  std::string source_name;
  std::unique_ptr<RecordDecoder> decoder;  // null: by file
  std::unique_ptr<RecordCutter> cutter;
  std::unique_ptr<BadRowPolicy> policy;
  std::shared_ptr<BlockPool> pool;
  bool append_only = false;  // the pipeline promises that nothing is ever taken back
  // Files that lie elsewhere than on the disk of the machine.
  std::shared_ptr<Disk> files;                                          // null: Env's
  bool whole = false;                                                   // they are replaced, never written on
  std::function<std::optional<std::string>(const std::string&)> owner;  // by path; null: by user id
  [[nodiscard]] Disk& disk(Env& env) const { return files ? *files : *env.disk; }
  // Read to its end at once, a last line without its end included; a change is another file.
  [[nodiscard]] bool is_whole(const std::string& path) const {
    return whole || compression_of(path) != Compression::kNone;
  }
  std::unique_ptr<KnownHeaders> headers = std::make_unique<KnownHeaders>();
};

// A piece of one record that stands by itself.
[[nodiscard]] Result<std::unique_ptr<Piece>> reread_record(const std::shared_ptr<FileSourceShared>& shared,
                                                           const std::string& record, const std::string& position,
                                                           std::uint64_t number);

[[nodiscard]] Result<std::shared_ptr<FileSourceShared>> share_file_source(const plan::Source& source,
                                                                          FileReadSettings settings);

// Where the bytes of a piece are kept (piece_origin.cc): in the log itself, or in a chunk of the content that the
// source keeps.
struct PieceOrigin {
  std::uint64_t file = 0;  // number of the file and of the chunk; 0: in the log
  std::uint64_t chunk = 0;
  std::string header_text;                 // of a csv file with one
  std::vector<std::uint32_t> occurrences;  // by record: how many equal ones came before, where keys are made of them
};

class FilePiece final : public CountedPiece, public KeptPiece {
 public:
  FilePiece(std::shared_ptr<const FileSourceShared> shared, BlockRef block, std::size_t content_bytes, BlockInfo info,
            std::unique_ptr<PieceOrigin> origin = nullptr)
      : shared_(std::move(shared)),
        bytes_(block->size()),
        block_(std::move(block)),
        content_bytes_(content_bytes),
        info_(std::move(info)),
        origin_(std::move(origin)) {}
  [[nodiscard]] std::size_t bytes() const override { return bytes_; }
  [[nodiscard]] std::size_t num_records() const override;
  [[nodiscard]] std::string origin() override;
  void decode(RowSink& out) override;

 private:
  const std::shared_ptr<const FileSourceShared> shared_;
  const std::size_t bytes_;
  BlockRef block_;             // given up after decoding
  std::size_t content_bytes_;  // of a whole file
  BlockInfo info_;
  std::unique_ptr<PieceOrigin> origin_;  // null: its rows are kept
};

// The piece that FilePiece::origin() told of.
[[nodiscard]] Result<std::unique_ptr<Piece>> piece_of_origin(const std::shared_ptr<const FileSourceShared>& shared,
                                                             std::string_view origin, const BlobMap& kept);

// One file from some point on.
class FileWalk {
 public:
  FileWalk(std::shared_ptr<const FileSourceShared> shared, SourceContext& context, const std::string& path);
  // Where to begin: at the start, or where an earlier walk ended.
  struct Start {
    std::uint64_t offset = 0;
    std::uint64_t line = 0;
    std::shared_ptr<const CsvHeader> header;  // null: still to be found, where there is one
    std::uint64_t file_bytes = 0;             // as far as is known
    std::string tail;                         // the last bytes before `offset`
  };
  void open(ReadFile& file, Start start);
  // The next block; none at the end or while a header is not whole yet.
  Result<std::optional<BlockReader::Cut>> next(bool final);
  [[nodiscard]] const std::shared_ptr<const CsvHeader>& header() const { return header_; }
  [[nodiscard]] std::string_view header_text() const { return header_text_; }
  [[nodiscard]] BlockReader& reader() { return *reader_; }
  // The last kTailBytes of what was read so far, and where that ended (bytes of the file; not of compressed ones).
  static constexpr std::size_t kTailBytes = 4096;
  [[nodiscard]] const std::string& tail() const { return tail_; }
  [[nodiscard]] std::uint64_t end_offset() const { return end_offset_; }

 private:
  // Takes leading noise and the header off a block.
  void take_header(BlockReader::Cut& cut);
  void report_absent();

  const std::shared_ptr<const FileSourceShared> shared_;
  SourceContext& context_;
  const std::string path_;
  std::unique_ptr<ByteReader> bytes_;  // a TailReader over
  std::unique_ptr<ByteReader> inner_;
  std::unique_ptr<BlockReader> reader_;
  std::shared_ptr<const CsvHeader> header_;
  std::string header_text_;
  std::string tail_;
  std::uint64_t end_offset_ = 0;
};

class StaticFileSource final : public Source, public ReadsAgain, public RereadsRecords {
 public:
  Result<std::unique_ptr<Piece>> reread(const std::string& record, const std::string& position,
                                        std::uint64_t number) override {
    return reread_record(shared_, record, position, number);
  }
  StaticFileSource(std::shared_ptr<FileSourceShared> shared) : shared_(std::move(shared)) {}
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] bool is_static() const override { return true; }
  [[nodiscard]] Result<std::unique_ptr<Piece>> read_again(std::string_view origin, const BlobMap& kept) const override {
    return piece_of_origin(shared_, origin, kept);
  }

 private:
  // False: the run is stopping.
  Result<bool> read_file(SourceContext& context, const FoundFile& file);
  Result<bool> read_whole(SourceContext& context, const FoundFile& file);
  const std::shared_ptr<FileSourceShared> shared_;
};

// The key_source of generated keys.
[[nodiscard]] std::uint64_t key_source_of(const std::string& source_name, const std::string& path);
[[nodiscard]] std::shared_ptr<const std::string> metadata_of(const FileSourceShared& shared, Disk& disk,
                                                             const FoundFile& file, std::int64_t seen_ns);
// The whole file in one block; none if it is larger than `file_bytes_max` (reported).
[[nodiscard]] Result<std::optional<std::pair<std::shared_ptr<Block>, std::size_t>>> read_whole_file(
    const FileSourceShared& shared, SourceContext& context, const std::string& path, std::uint64_t size);

}  // namespace thalweg
