// engine/runtime/worker.h
//
// One worker: its copy of every operator, and the loop that runs commits.
//
// A commit on one worker: take pieces and push their rows down the graph until the input of the commit is closed,
// while emptying the inboxes; then close the nodes in graph order, each when all its input edges are closed.
//
// W1  A node is closed once per commit, after all rows of all workers for it were pushed.
// W2  Worker 0 decides which commit comes next; it starts none before all workers have closed the last.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/runtime/saved_state.h"
#include "engine/runtime/shared.h"

namespace thalweg {

class Worker {
 public:
  Worker(RunShared& shared, WorkerId id);
  ~Worker();
  Result<void> build();     // makes the operators
  void run();               // the thread's body
  void adopt(Worker& old);  // the operators that are kept; neither runs a commit

  // ---- between commits (saved_state.h)
  Result<void> save_nodes(const PartSink& sink, std::vector<SavedPart>& out) const;
  Result<void> load_nodes(const SavedRun& saved);
  [[nodiscard]] Commit test_time() const { return test_time_; }

 private:
  class Context;
  struct Node {
    std::unique_ptr<Operator> op;
    std::vector<std::uint32_t> open_from;  // by input edge: how many workers have not closed it in this commit
    bool closed = false;
    std::vector<Batch> staged;  // outputs that need the whole commit
  };

  Result<void> load_node(NodeId id, const SavedPart& part, const ShardFilter& mine);
  void coordinate();  // worker 0
  void follow();      // the others
  [[nodiscard]] CommitSpec next_commit();
  bool holds_before(const CommitSpec& spec);
  bool run_commit(const CommitSpec& spec);  // false: abandoned
  void announce(const CommitSpec& spec);
  void finish_commit(const CommitSpec& spec);
  void publish(const CommitSpec& spec);

  // ---- where state is kept (worker_durable.cc); the coordinating worker
  bool recover();           // false: the run fails or stops
  bool replay_recording();  // the same, or nothing comes after it
  bool rerun(CommitReplay& replay);
  bool wait_for_pace(std::int64_t recorded_ns);
  bool run_whole(const CommitSpec& spec);  // and the odd commit after it
  void make_durable(const CommitSpec& spec);
  bool hear_of_refusals();
  void take_snapshot();
  void end_durably();
  // ---- every worker
  bool feed_replay(CommitReplay& replay);
  void emit_replayed(const CommitReplay::Rows& rows);
  void decode_replayed(const CommitReplay& replay, const CommitReplay::Piece& piece);
  void report_replayed(const CommitReplay::Bad& bad);
  void journal_rows(std::uint32_t source, const Batch& batch);
  void journal_piece(std::uint32_t source, std::uint64_t order, std::uint64_t rows, std::string_view origin);
  void journal_bad(const Key& source, const BadRecord& record);
  void journal_answer(NodeId node, std::string_view question, std::string_view answer);
  [[nodiscard]] std::optional<std::string> recall(NodeId node, const std::string& question);
  [[nodiscard]] bool journals() const { return shared_.durability && !spec_.replay; }
  void note_journal(std::size_t before);

  void start_nodes();
  bool feed(const CommitSpec& spec);
  bool close_nodes();
  void close_node(NodeId id);
  void close_output(NodeId id, const plan::Output& output);
  void fill();
  void push_script(const CommitSpec& spec);
  void decode(Ingest::Item item);
  std::uint64_t decode(Piece& piece, std::uint32_t source, std::uint64_t order, bool journaled);  // rows
  void take_in(Batch batch, std::uint32_t source, std::uint64_t order, std::uint64_t& sub_order, bool journaled);
  void report_bad(std::uint32_t source, const BadRecord& record);
  void take_refused();
  void report_refused(NodeId output, BadRecord record, std::optional<Key> key);
  void skip_error_row(NodeId output, const Batch& batch, std::size_t row);
  void emit_error_log(NodeId id);
  [[nodiscard]] std::vector<Value> error_row(const DataError& error) const;

  void emit_from(NodeId node, Batch batch);
  void send_to_all(NodeId node, Batch batch);
  void send(const Edge& edge, Batch batch);
  void push(NodeId node, std::uint32_t port, Batch batch);
  bool drain_inboxes();
  void edge_closed(std::uint32_t edge);
  void receive(Message message);
  void report(NodeId node, ErrorKind kind, std::string message, SourceSpan where, std::optional<Key> key);
  std::vector<std::string> all_to_all(std::string mine);
  [[nodiscard]] std::int64_t wall_ns();
  [[nodiscard]] bool abandoned() const { return shared_.abandon.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t num_workers() const { return shared_.exchange->workers(); }

  RunShared& shared_;
  const WorkerId id_;
  std::vector<Node> nodes_;
  CommitSpec spec_;
  std::optional<std::pair<std::int64_t, std::int64_t>> replay_began_;  // monotonic; as it was recorded (wall)
  Commit test_time_ = 0;  // of the newest commit with input, under a test's clock
  std::vector<DataError> commit_errors_;
  std::vector<std::pair<NodeId, Commit>> refused_to_;  // taken in by this commit
  std::uint64_t error_rows_ = 0;                       // of this commit, for keys of the error table
  std::vector<std::deque<std::string>> answers_;       // all_to_all: by sender
  std::vector<std::uint32_t> targets_;                 // scratch of send
};

// All workers of a run, in parallel, while no commit runs. An empty sink: parts in memory.
Result<SavedRun> save_workers(const RunShared& shared, std::span<const std::unique_ptr<Worker>> workers,
                              const PartSink& sink);
// Into a run that is built and has not started: operators, exported tables, the frontier, what is left of StaticRows.
Result<void> load_workers(RunShared& shared, std::span<const std::unique_ptr<Worker>> workers, const SavedRun& saved);
// Connectors give the columns that are read; the others stand there as None, so that column numbers hold.
[[nodiscard]] Batch with_unread_fields(const plan::Node& node, Batch batch);

}  // namespace thalweg
