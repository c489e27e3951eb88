// connectors/http/answer_stream.h
//
// An answer that is shown while it is made: server-sent events of one request.
//
//   token   {"text": …}   a piece of the answer, as the model gives it
//   reset   {}            what came so far does not count: the model is asked once more
//   answer  the same object as the plain answer; the last event
//   error   the same object as the plain error; the last event
//
// The request itself is a row like any other, and its answer the dataflow's; whoever makes pieces of it finds the
// stream by the name that the row has.
//
// E1  The pieces since the last reset, together, are the beginning of what is answered; only `answer` is the answer.
// E2  What fails before anything was shown is answered as a plain request would be, with its status.
// E3  Nobody waits for a reader: one that is more than kPendingMax behind is cut off.
// Threads  any.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "connectors/net/http_message.h"
#include "connectors/net/http_server.h"

namespace thalweg::web {

class AnswerStream : public std::enable_shared_from_this<AnswerStream> {
 public:
  AnswerStream(std::string name, net::HttpReply reply) : name_(std::move(name)), reply_(std::move(reply)) {}
  ~AnswerStream();
  AnswerStream(const AnswerStream&) = delete;
  AnswerStream& operator=(const AnswerStream&) = delete;

  // A stream under a name that nobody can guess; it lives until the reply that is made of it is gone.
  [[nodiscard]] static std::shared_ptr<AnswerStream> open(std::string name, net::HttpReply reply);
  // The one of that name; null: there is none (any more).
  [[nodiscard]] static std::shared_ptr<AnswerStream> find(std::string_view name);

  void token(std::string_view text);
  void reset();                             // nothing where nothing was shown
  [[nodiscard]] std::string shown() const;  // since the last reset
  // What stands in for the request's own reply: its answer ends the stream.
  [[nodiscard]] net::HttpReply reply();

 private:
  class Body;
  void event(std::string_view name, std::string_view data);
  void finish(net::HttpResponse response);
  static constexpr std::size_t kPendingMax = 4U << 20;

  const std::string name_;
  const net::HttpReply reply_;
  mutable std::mutex mutex_;
  // Guarded by mutex_, all of it.
  std::string pending_, shown_;
  std::shared_ptr<net::Waker> waker_;
  bool begun_ = false, ended_ = false, gone_ = false;
};

// Whether a request asks for a stream by its header: for events, and for no JSON.
[[nodiscard]] bool accepts_events(const net::HttpRequest& request);

}  // namespace thalweg::web
