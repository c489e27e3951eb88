// pipeline_lang/expr_syntax.h
//
// What the text of an expression says, before any name has a meaning. Places are byte offsets into the text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/types/value.h"

namespace thalweg::lang {

enum class SyntaxKind : std::uint8_t {
  kLiteral,   // value
  kName,      // text; quoted: from `odd name`
  kVariable,  // text: `x` of `$x`
  kMember,    // children[0].text
  kCall,      // children[0] is the callee, then the arguments; names[i] of argument i (empty: positional)
  kIndex,     // children[0][children[1]]
  kUnary,     // text: `-`, `~`, `not`
  kBinary,    // text: the operator, `and`, `or`
  kCompare,   // text: `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`
  kIsNone,    // children[0] is None; negated: is not None
  kIfElse,    // condition, then, else
  kList,
  kTuple,
  kObject,  // key, value, key, value…
  kType,    // the type argument of `cast`; text
  kStar,    // the lone `*` argument of count(*)
};

struct Syntax;
using SyntaxPtr = std::unique_ptr<Syntax>;

struct Syntax {
  SyntaxKind kind = SyntaxKind::kLiteral;
  std::uint32_t begin = 0, end = 0;
  std::string text;
  bool quoted = false;
  bool negated = false;
  int height = 1;
  Value value;
  std::vector<SyntaxPtr> children;
  std::vector<std::string> names;
};

inline constexpr int kExprDepthMax = 200;   // brackets, calls, unary operators
inline constexpr int kExprHeightMax = 600;  // and chains of operators or methods
inline constexpr std::size_t kExprBytesMax = 1 << 20;

// The error's span has offsets into the text and no file.
struct SyntaxError {
  std::string message;
  std::size_t begin = 0, end = 0;
  std::string hint;
};
[[nodiscard]] std::expected<SyntaxPtr, SyntaxError> parse_expression(std::string_view text);

// Fully bracketed, for tests: `(a + (b * 2))`.
[[nodiscard]] std::string to_text(const Syntax& syntax);

}  // namespace thalweg::lang
