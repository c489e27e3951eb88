#include "engine/operators/operator.h"

namespace thalweg {

void ExpressionErrors::report(std::size_t row, SourceSpan where, std::string_view message) {
  if (batch_.diff(row) < 0) return;
  std::optional<Key> key;
  if (batch_.keys.written()) key = batch_.keys[row];
  context_.report(ErrorKind::kValue, std::string(message), where, key);
}

}  // namespace thalweg
