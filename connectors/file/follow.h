// connectors/file/follow.h
//
// Files as they change: additions, appended bytes, edits and deletions become changes of the table.
//
// W1  Appended (same file, larger, the last 4 KiB before the old end unchanged): only what is new is read. Anything
// else
//     becomes a difference by content: rows that are in both versions are not touched, wherever they stand.
// W2  Everything that one look at the files finds is one transaction; at the start every file is one.
// W3  What was read can be taken back: the content is kept (content_store.h), unless the source is append-only; then a
//     file that shrinks or is replaced is read as a new one, and other edits are only warned about.
// W4  A last line without its end waits `partial_line_timeout` for it, then it is a row; should it go on after all,
// that
//     row is taken back. (Append-only: it waits for ever.)
//
// W5  Where the pipeline keeps its state, all of this goes on after a restart: what was appended, edited or deleted
//     meanwhile is a change like any other. So a static source of such a pipeline gives, each time it is run, the
//     difference to what it gave before.
//
// A change is seen by mtime, ctime, inode, device or size, by an inotify event, or, in the first moments after a write
// in which times may stay equal, by looking at the content again.
//
// W6  Where state is kept, large pieces are named in the log by the chunk of content that they are (without content: as
//     the bytes that they are) instead of by their rows. A transaction ends before such a chunk goes.
//
// Threads  the source's own; read_again any.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/file/content_store.h"
#include "connectors/file/row_counts.h"
#include "connectors/file/source.h"
#include "connectors/file/watcher.h"

namespace thalweg {

// One file as it was read last.
struct FollowedFile {
  std::string path;
  std::shared_ptr<const std::string> shared_path;
  std::uint64_t key_source = 0;
  FileStat stat;
  std::uint64_t consumed = 0;  // bytes that are records
  std::uint64_t next_line = 0;
  std::uint64_t end = 0;  // bytes that were read
  std::string tail;       // the last of them
  std::shared_ptr<const CsvHeader> header;
  std::string header_text;
  std::optional<std::int64_t> rest_since;  // there are bytes after `consumed`, since (monotonic)
  std::string partial;                     // a record that was consumed without its line end
  std::uint64_t partial_line = 0;
  bool partial_is_header = false;
  bool fresh = false;  // read so soon after its mtime that a further write may not show in it
  std::string last_warning;
  ContentStore store;
  RowCounts counts;     // of rows, where keys are made of them
  bool counted = true;  // `counts` are those of the content; false: they are to be made from it
  Key content;          // hash, of formats by file
  std::uint64_t seen_in_scan = 0;
  bool referred = false;     // pieces of this transaction refer to its content
  bool dirty = false;        // differs from what was put last
  std::uint64_t number = 0;  // of its blobs; 0: none yet
};

[[nodiscard]] std::string content_chunk_name(std::uint64_t file, std::uint64_t chunk);
// Hashes of the records of a block and where they begin: what keys of rows are made of.
void each_row_key(const FileSourceShared& shared, std::string_view block, std::uint64_t key_source,
                  std::string_view header_text, const std::function<void(const Key& row, std::size_t at)>& use);
// Equal rows are told apart by how many came before.
[[nodiscard]] Key row_key_of(const Key& row, std::uint32_t occurrence);

class FollowFileSource final : public Source, public ReadsAgain, public RereadsRecords {
 public:
  Result<std::unique_ptr<Piece>> reread(const std::string& record, const std::string& position,
                                        std::uint64_t number) override {
    return reread_record(shared_, record, position, number);
  }
  explicit FollowFileSource(std::shared_ptr<FileSourceShared> shared);
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] Result<std::unique_ptr<Piece>> read_again(std::string_view origin, const BlobMap& kept) const override {
    return piece_of_origin(shared_, origin, kept);
  }
  // Once, as one transaction: what is there now, as far as it is not what was there before.
  Result<void> run_static(SourceContext& context);

 private:
  // ---- what is kept (follow_state.cc)
  Result<void> restore();
  [[nodiscard]] bool restore_file(std::string_view name, const std::string& blob);
  [[nodiscard]] std::string encode(const FollowedFile& file) const;
  void put_changes();
  void put_chunk(const FollowedFile& file, std::uint64_t number, const Blob& blob);
  void forget_file(FollowedFile& file);
  [[nodiscard]] std::unique_ptr<PieceOrigin> origin_of(FollowedFile& file, std::size_t bytes);
  void end_if_referred(FollowedFile& file);
  void empty_store(FollowedFile& file);
  void commit();
  void count_rows(FollowedFile& file);
  // Whether something was delivered.
  Result<bool> scan(bool first);
  Result<bool> look_at(FollowedFile& file, const FileStat& stat, bool certain);
  Result<bool> read_appended(FollowedFile& file, bool final);
  Result<bool> read_again(FollowedFile& file);
  Result<bool> read_whole(FollowedFile& file);
  Result<bool> start_over(FollowedFile& file);
  Result<bool> consume_due_rests();
  Result<bool> settle_partial(FollowedFile& file, ReadFile& handle);
  Result<bool> replace_content(FollowedFile& file, FollowedFile& next);
  Result<bool> difference(FollowedFile& old, FollowedFile& next);
  [[nodiscard]] Result<bool> is_appended(const FollowedFile& file, const FileStat& stat);
  [[nodiscard]] Result<bool> has_same_tail(const FollowedFile& file);
  static void note_partial(FollowedFile& file, const std::optional<BlockReader::Cut>& cut);
  FollowedFile& follow(const std::string& path);
  Result<bool> handle_changes(bool poll_is_due);
  void warn(FollowedFile& file, const Error& error);

  Result<bool> take_back_all(FollowedFile& file);
  void deliver_cut(FollowedFile& file, BlockReader::Cut cut);
  void deliver(FollowedFile& file, BlockRef block, std::size_t bytes, BlockInfo info,
               std::unique_ptr<PieceOrigin> origin = nullptr);
  [[nodiscard]] BlockInfo info_of(const FollowedFile& file) const;
  // Hash of a record without its line end; the file's path and header are part of it.
  [[nodiscard]] static std::uint64_t row_seed(const FollowedFile& file);
  [[nodiscard]] static Key row_hash(std::string_view record, std::uint64_t seed);
  void key_records(FollowedFile& file, const Block& block, BlockInfo& info,
                   std::vector<std::uint32_t>* occurrences = nullptr);
  [[nodiscard]] bool keys_by_row() const { return shared_->layout.generates_keys() && !shared_->append_only; }
  [[nodiscard]] std::int64_t ns_to_wait(std::int64_t next_poll) const;
  [[nodiscard]] Disk& disk() const { return shared_->disk(context_->env()); }
  [[nodiscard]] bool final_at_once() const { return static_ || shared_->whole; }

  const std::shared_ptr<FileSourceShared> shared_;
  SourceContext* context_ = nullptr;
  std::map<std::string, FollowedFile> files_;
  Watcher watcher_;
  std::uint64_t scans_ = 0;
  bool stopped_ = false;  // deliver said so
  bool warned_missing_ = false;
  bool static_ = false;
  std::optional<Error> lost_;  // static: what could not be read
  bool keeps_ = false;         // positions and content
  std::uint64_t next_file_ = 1;
  std::int64_t scan_ns_ = 0;  // of the last scan
};

}  // namespace thalweg
