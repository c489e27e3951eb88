// engine/base/prefetch.h
//
// A function that only asks for memory looks to GCC like one without effect, and calls of it that were not inlined
// early are left out. Every such function is marked THALWEG_PREFETCHES.
#pragma once

#define THALWEG_PREFETCHES [[gnu::always_inline]] inline
