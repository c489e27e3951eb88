// engine/base/ensure.h
//
// Invariants of our own. ENSURE is always on and ends the process: going on with broken state would lose data.
// DCHECK is for hot paths and vanishes in release builds.
#pragma once

namespace thalweg::detail {
[[noreturn]] void ensure_failed(const char* condition, const char* file, int line);
}

#define ENSURE(condition) \
  (static_cast<bool>(condition) ? void(0) : ::thalweg::detail::ensure_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(condition) void(0)
#else
#define DCHECK(condition) ENSURE(condition)
#endif

#define UNREACHABLE() ::thalweg::detail::ensure_failed("unreachable", __FILE__, __LINE__)
