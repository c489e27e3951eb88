// connectors/http/client_source.h
//
// `io.http.read` with a URL. One long answer that is read as it comes (streaming), the same question again and again
// (`refresh_interval`), or once (static).
//
// C1  Polling: every answer is the whole table. What changed since the last one is one transaction; rows that are not
//     in it any more are taken back. An answer that cannot be read changes nothing.
// C2  A stream that breaks is asked for again, with `Last-Event-ID` if it told ids (server-sent events). One that ends
//     ends the input.
// C3  Generated keys: of polls the row's bytes and its occurrence; of streams random.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/formats/report.h"
#include "connectors/http/fetch.h"
#include "engine/io/source.h"

namespace thalweg::web {

struct ClientReadSettings {
  enum class Format : std::uint8_t { kJson, kPlaintext, kRaw };
  FetchOptions fetch;
  Format format = Format::kJson;
  std::string delimiter = "\n";
  std::string records;          // JSON pointer to the rows of an answer
  std::int64_t refresh_ns = 0;  // 0: no polling
  bool is_static = false;
  BadRowPolicy::Action bad_rows = BadRowPolicy::Action::kLog;
  std::string dead_letters;
};

class ClientSource final : public Source {
 public:
  ClientSource(const plan::Source& source, ClientReadSettings settings);
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] bool is_static() const override { return settings_.is_static; }

 private:
  struct Row {
    Key key;
    std::vector<Value> cells;
  };
  [[nodiscard]] Result<void> read_once(Fetcher& fetcher, SourceContext& context);
  [[nodiscard]] Result<void> poll(Fetcher& fetcher, SourceContext& context);
  [[nodiscard]] Result<void> follow(Fetcher& fetcher, SourceContext& context);
  // The rows of a whole answer, with their keys.
  [[nodiscard]] Result<std::vector<Row>> rows_of(const std::string& body, SourceContext& context);
  void add_record(std::string_view text, std::vector<Row>& out, SourceContext& context);
  void add_cells(std::vector<Value> cells, std::string_view text, std::vector<Row>& out, SourceContext& context);
  [[nodiscard]] bool deliver(const std::vector<Row>& rows, Diff diff, SourceContext& context);
  void bad(std::string message, std::string_view text, BadRecord::Kind kind, SourceContext& context);

  // ---- streams
  void take_bytes(std::string_view bytes, std::vector<Row>& out, SourceContext& context);
  void take_event_line(std::string_view line, std::vector<Row>& out, SourceContext& context);

  const std::string name_;
  const std::vector<plan::SourceField> fields_;
  const bool upsert_;
  const ClientReadSettings settings_;
  BadRowPolicy policy_;
  const Schema schema_;
  const bool keyed_;
  std::uint64_t order_ = 0;
  std::uint64_t record_ = 0;

  std::map<std::string, std::uint64_t> occurrences_;  // of equal rows of one answer
  std::string unfinished_;                            // of a stream, behind the last delimiter
  bool events_ = false;                               // server-sent events
  std::string event_data_;
  std::string last_event_id_;
};

}  // namespace thalweg::web
