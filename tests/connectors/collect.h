// tests/connectors/collect.h
//
// Runs a source or a decoder and keeps what it says as text.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/formats/format.h"
#include "engine/io/source.h"

namespace thalweg::testing {

// A directory that is gone when the test is over.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? root_ : root_ + "/" + name;
  }
  std::string write(const std::string& name, const std::string& content) const;
  void append(const std::string& name, const std::string& content) const;
  [[nodiscard]] std::string read(const std::string& name) const;
  [[nodiscard]] bool exists(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  std::string root_;
};

struct Row {
  Key key;
  Diff diff;
  std::string text;  // cells, `|` between
};

class Rows final : public RowSink {
 public:
  explicit Rows(std::vector<Type> types) : types_(std::move(types)) {}
  void rows(Batch batch) override;
  void bad_record(BadRecord record) override { bad.push_back(std::move(record)); }
  [[nodiscard]] std::vector<std::string> texts() const;
  [[nodiscard]] std::vector<std::string> messages() const;  // `position: message`

  std::vector<Row> all;
  std::vector<BadRecord> bad;
  std::size_t batches = 0;

 private:
  std::vector<Type> types_;
};

plan::SourceField field(std::string name, Type type);
plan::SourceField key_field(std::string name, Type type);
std::vector<Type> types_of(const plan::Source& source);

// Decodes one text as a block.
Rows decode_text(const RecordDecoder& decoder, const plan::Source& source, const std::string& text,
                 BlockInfo info = {});

// A context for static sources: everything is decoded as it comes.
class CollectContext final : public SourceContext {
 public:
  explicit CollectContext(std::vector<Type> types, Env env = real_env())
      : rows(std::move(types)), env_(std::move(env)) {}
  bool deliver(std::unique_ptr<Piece> piece) override;
  bool deliver(Batch batch) override;
  void commit(std::string position) override;
  void idle() override { ++idles; }
  void bad_record(BadRecord record) override { rows.bad_record(std::move(record)); }
  void warn(std::string message) override { warnings.push_back(std::move(message)); }
  [[nodiscard]] bool stopping() const override { return stop; }
  bool wait(std::int64_t ns, int wake_fd) override;
  Env& env() override { return env_; }
  [[nodiscard]] const std::string& resume_position() const override { return position_; }
  void resume_at(std::string position) { position_ = std::move(position); }

  Rows rows;
  std::size_t commits = 0;
  std::vector<std::string> positions;  // of the commits
  std::size_t idles = 0;
  std::size_t pieces = 0;
  bool stop = false;
  std::vector<std::string> warnings;
  // Called when the source waits for changes; it may change files, or stop the run.
  std::function<void(CollectContext&, std::size_t round)> on_wait;
  // Net rows: text → sum of diffs, zeros left out.
  [[nodiscard]] std::map<std::string, int> net() const;

 private:
  Env env_;
  std::string position_;
  std::size_t rounds_ = 0;
};

// Makes the connector's source from arguments as they are after decoding, and runs it.
Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env& env);
Setting args(std::initializer_list<std::pair<std::string, Setting>> entries);
Setting text(std::string value);
// Arguments decoded by the connector's table, with defaults.
Setting decoded(const std::string& connector, const Setting& given);

}  // namespace thalweg::testing
