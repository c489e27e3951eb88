// connectors/http/problem.h
//
// Errors that routes of pipelines answer: RFC 9457 problem documents with a stable `code`, as the daemon's.
#pragma once

#include <string>
#include <string_view>

#include "connectors/net/http_message.h"

namespace thalweg::web {

[[nodiscard]] net::HttpResponse problem(unsigned status, std::string_view code, std::string_view detail);
// With the name of the field that is wrong, or the line of a body (from 1; 0: none).
[[nodiscard]] net::HttpResponse field_problem(std::string_view detail, std::string_view field, std::uint64_t line = 0);
[[nodiscard]] net::HttpResponse json_answer(unsigned status, std::string body);

}  // namespace thalweg::web
