// engine/base/result.h
//
// Errors are values. Ask who can mend one: the user (kInvalid…, with a span; collected, all shown), the world
// (kUnavailable, kNotFound, kIo: the caller's retry policy decides), or us (ENSURE, see ensure.h).
#pragma once

#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/source_span.h"

namespace thalweg {

enum class Code : std::uint8_t {
  kInvalidPipeline,  // the pipeline file is wrong
  kInvalidArgument,  // an argument of a command, a setting or a request is wrong
  kBadData,          // a record of the outside world is wrong
  kNotFound,
  kPermission,
  kUnavailable,  // may work later
  kIo,
  kTooLarge,  // a limit was reached
  kCancelled,
  kDataError,  // an ERROR value in a run that ends on errors
  kInternal,
};

struct Note {
  std::string text;
  SourceSpan span;
};

struct [[nodiscard]] Error {
  Code code = Code::kInternal;
  std::string message;
  SourceSpan span;
  std::vector<Note> notes;  // hints: "did you mean …", "first defined here"

  Error with_note(std::string text, SourceSpan where = {}) && {
    notes.push_back({std::move(text), where});
    return std::move(*this);
  }
  // Keeps a span that is already known: the innermost place is the most useful one.
  Error at(SourceSpan where) && {
    if (!span.known()) span = where;
    return std::move(*this);
  }
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string message, SourceSpan span = {}) {
  return std::unexpected(Error{code, std::move(message), span, {}});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

namespace detail {
template <class T>
T take(std::expected<T, Error>& result) {
  return std::move(*result);
}
inline void take(std::expected<void, Error>&) {}
}  // namespace detail

// The value of a Result, or return its error from the enclosing function.
#define TRY(expression)                                                       \
  __extension__({                                                             \
    auto try_result_ = (expression);                                          \
    if (!try_result_) return std::unexpected(std::move(try_result_).error()); \
    ::thalweg::detail::take(try_result_);                                     \
  })

}  // namespace thalweg
