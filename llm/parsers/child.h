// llm/parsers/child.h
//
// Decoders of others, in a process of their own: what goes wrong in them goes wrong there.
//
// C1  The child has limits of memory, time, files and size of files; no network where the kernel allows that to be
// taken
//     away, no new privileges, none of our environment (keys) and none of our files open.
// C2  It ends with us, and with its time limit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::llm {

struct ChildLimits {
  int seconds = 60;
  std::size_t memory_bytes = 2UL << 30;
  std::size_t output_bytes = 64U << 20;
};

// Runs a program with `input` on its standard input: what it wrote. kUnavailable: there is no such program;
// kTooLarge: a limit; kBadData: it ended with an error.
[[nodiscard]] Result<std::string> run_child(const std::vector<std::string>& command, std::string_view input,
                                            const ChildLimits& limits);

}  // namespace thalweg::llm
