#include "engine/types/value.h"

#include "engine/base/ensure.h"
#include "engine/types/encoding.h"

namespace thalweg {

Value Value::tuple(std::vector<Value> elements) {
  return Value(Tag::kTuple, std::make_shared<const std::vector<Value>>(std::move(elements)));
}
Value Value::array(NdArray array) { return Value(Tag::kArray, std::make_shared<const NdArray>(std::move(array))); }

bool operator==(const Value& a, const Value& b) { return a.tag() == b.tag() && compare(a, b) == 0; }

int compare(const Value& a, const Value& b) { return compare_encoded(encode(a), encode(b)); }

Key key_of_values(const std::vector<Value>& values) {
  std::string bytes;
  for (const Value& value : values) encode(value, bytes);
  return key_of_bytes(bytes);
}

}  // namespace thalweg
