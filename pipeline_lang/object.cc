#include "pipeline_lang/object.h"

#include <algorithm>

#include "pipeline_lang/component.h"

namespace thalweg::lang {
namespace {

std::string describe_scalar(const Scalar& scalar) {
  if (scalar.secret) return "a secret";
  switch (scalar.value.tag()) {
    case Value::Tag::kNone: return "nothing";
    case Value::Tag::kBool: return "the bool " + scalar.spelling;
    case Value::Tag::kInt: return "the int " + scalar.spelling;
    case Value::Tag::kFloat: return "the float " + scalar.spelling;
    case Value::Tag::kDuration: return "a duration";
    default: break;
  }
  constexpr std::size_t kShown = 40;
  if (scalar.spelling.size() > kShown) return "the text `" + scalar.spelling.substr(0, kShown) + "…`";
  return "the text `" + scalar.spelling + "`";
}

}  // namespace

std::string describe(const Object& object) {
  if (const Scalar* scalar = object.as_scalar()) return describe_scalar(*scalar);
  if (object.as_list() != nullptr) return "a list";
  if (object.as_map() != nullptr) return "a mapping";
  if (object.as_table() != nullptr) return "a table";
  if (object.as_schema() != nullptr) return "a schema";
  if (const Type* type = object.as_type()) return "the type " + type->to_text();
  if (const FunctionObject* function = object.as_function()) return "the function `" + function->name + "`";
  if (object.as_sink() != nullptr) return "an output";
  if (const Instance* instance = object.as_instance())
    return "a " + std::string(kind_text(instance->component->kind)) + " (`!" + instance->component->name + "`)";
  return "something wrong";
}

bool holds_secret(const Object& object) {
  if (const Scalar* scalar = object.as_scalar()) return scalar->secret;
  if (const ListObject* list = object.as_list())
    return std::ranges::any_of(list->items, [](const ObjectPtr& item) { return holds_secret(*item); });
  if (const MapObject* map = object.as_map())
    return std::ranges::any_of(map->entries, [](const auto& entry) { return holds_secret(*entry.second); });
  return false;
}

}  // namespace thalweg::lang
