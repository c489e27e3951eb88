// daemon/rest/problem.h
//
// Errors of the REST surface: RFC 9457 problem documents with a stable `code`.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "connectors/net/http_message.h"
#include "engine/base/result.h"

namespace thalweg::daemon {

struct Problem {
  unsigned status = 400;
  std::string code;  // `unknown_parameter`, `no_such_table`, `history_gone` … stable
  std::string detail;
  std::string hint;        // `did you mean `limit`?`
  std::uint32_t line = 0;  // of a text that was sent (`where`, a pipeline); 0: none
  std::uint32_t column = 0;
};

using Answer = std::expected<net::HttpResponse, Problem>;
template <class T>
using Checked = std::expected<T, Problem>;

[[nodiscard]] inline std::unexpected<Problem> refuse(unsigned status, std::string code, std::string detail,
                                                     std::string hint = {}) {
  return std::unexpected(Problem{status, std::move(code), std::move(detail), std::move(hint), 0, 0});
}
// An error of the engine, as seen from outside.
[[nodiscard]] Problem problem_of(const Error& error);
[[nodiscard]] net::HttpResponse to_response(const Problem& problem);
// ``did you mean `x`?``, or nothing.
[[nodiscard]] std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace thalweg::daemon
