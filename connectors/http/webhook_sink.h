// connectors/http/webhook_sink.h
//
// `io.http.write`: one request per changed row (or per `batch_size` of them), in order, each repeated until the other
// side has taken it or the repetitions are used up.
//
//   json     the row with `time` and `diff`; a batch is an array of them
//   custom   `{table.column}`, `{table.time}`, `{table.diff}` in the template and in header values are replaced; in a
//            JSON template by what stands between the quotes of a JSON string, else by the text
//
// V1  A request that is sent again, also after a restart, has the same Idempotency-Key: pipeline/output/commit/chunk.
// V2  What is refused for good ends the outputs, or is skipped or kept as `on_error` says; repetitions used up end
// them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connectors/formats/report.h"
#include "connectors/http/fetch.h"
#include "engine/io/sink.h"

namespace thalweg::web {

// Text with places for columns of a row.
class RowTemplate {
 public:
  enum class Escape : std::uint8_t { kNone, kJson, kHeader };
  // kInvalidPipeline: names the column that is not there.
  [[nodiscard]] static Result<RowTemplate> parse(std::string_view text, const Schema& schema, Escape escape);
  void append(const Schema& schema, const Batch& batch, std::size_t row, std::uint64_t commit, std::string& out) const;

 private:
  static constexpr int kText = -1;
  static constexpr int kTime = -2;
  static constexpr int kDiff = -3;
  struct Part {
    int column = kText;
    std::string text;
  };
  Escape escape_ = Escape::kNone;
  std::vector<Part> parts_;
};

struct WebhookSettings {
  enum class OnError : std::uint8_t { kFail, kSkip, kDeadLetter };
  FetchOptions fetch;
  std::string pipeline;
  bool custom = false;
  std::string payload_template;
  std::string content_type;
  std::size_t batch_rows = 1;
  OnError on_error = OnError::kFail;
  std::string dead_letters;
};

// What of the settings depends on the columns.
[[nodiscard]] Result<void> check_templates(const WebhookSettings& settings, const Schema& schema);

class WebhookSink final : public Sink {
 public:
  explicit WebhookSink(WebhookSettings settings);
  Result<void> open(const SinkContext& context) override;
  Result<void> begin(std::uint64_t commit) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;

 private:
  [[nodiscard]] Result<void> send(std::uint64_t commit, net::HttpRequest request);
  [[nodiscard]] net::HttpRequest request_for(const Batch& batch, std::size_t row, std::uint64_t commit) const;
  void append_json(const Batch& batch, std::size_t row, std::uint64_t commit, std::string& out) const;
  [[nodiscard]] Result<void> flush(std::uint64_t commit);

  const WebhookSettings settings_;
  SinkContext context_;
  std::unique_ptr<Fetcher> fetcher_;
  RowTemplate payload_;
  std::vector<std::pair<std::string, RowTemplate>> headers_;
  std::uint64_t chunk_ = 0;  // of the commit
  std::string batch_;        // rows not yet sent
  using SentRow = std::pair<std::shared_ptr<const Batch>, std::size_t>;
  std::vector<SentRow> rows_;  // what they are
};

}  // namespace thalweg::web
