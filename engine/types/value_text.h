// engine/types/value_text.h
//
// How single values print: Python's way, because that is what users compare with.
#pragma once

#include <string>
#include <string_view>

namespace thalweg {

// Shortest text that reads back, always with a dot or an exponent: `1.0`, `1e+16`, `nan`, `inf`.
void append_float(double v, std::string& out);
// `'it''s'` in Python's quoting, for texts inside tuples.
void append_quoted(std::string_view text, std::string& out);

}  // namespace thalweg
