// engine/base/crash_point.h
//
// Places of the commit protocol at which the program of the crash tests (thalweg-failpoints) can be told to end as by
// `kill -9`. The program that is shipped holds the empty form: it asks nobody.
#pragma once

#include <string_view>

namespace thalweg {

// In thalweg-failpoints the process ends here if THALWEG_CRASH_POINT says `NAME` or `NAME:N` (the N-th time).
void crash_point(std::string_view name);

}  // namespace thalweg
