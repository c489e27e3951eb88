// llm/functions/wrong.h
#pragma once

#include <expected>
#include <string>

#include "engine/plan/user_function.h"

namespace thalweg::llm {

[[nodiscard]] inline std::unexpected<plan::FunctionError> wrong(std::string message, std::string option = {},
                                                                std::string hint = {}) {
  plan::FunctionError out;
  out.message = std::move(message);
  out.option = std::move(option);
  out.hint = std::move(hint);
  return std::unexpected(std::move(out));
}

}  // namespace thalweg::llm

// As TRY, where errors are FunctionErrors.
#define TRY_OPTION(expression)                                                \
  __extension__({                                                             \
    auto try_option_ = (expression);                                          \
    if (!try_option_) return std::unexpected(std::move(try_option_).error()); \
    std::move(*try_option_);                                                  \
  })
