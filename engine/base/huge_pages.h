// engine/base/huge_pages.h
//
// Large pages for the heap: state is read at random, and with pages of 4 KiB most of those reads miss the TLB as well
// as the cache (a join of ten million rows takes a fifth more time).
#pragma once

namespace thalweg {

// Asks the C library for transparent huge pages. It reads that wish only when a process starts, so this function begins
// the program anew, once, in the same process. Does nothing where GLIBC_TUNABLES is set, under sanitizers, or where the
// program cannot be started again. Call first in main, before threads, with main's arguments; child processes do not
// inherit the wish.
void use_huge_pages(char** argv);

}  // namespace thalweg
