#include "llm/index/vector_cell.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace thalweg::llm {

namespace {

std::unexpected<Error> no_vector() { return fail(Code::kBadData, "the value is no vector of numbers"); }

Result<void> from_json(const std::string& text, std::vector<float>& out) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return no_vector();
  for (const auto& item : json) {
    if (!item.is_number()) return no_vector();
    out.push_back(item.get<float>());
  }
  return {};
}

Result<void> from_value(const Value& value, std::vector<float>& out) {
  switch (value.tag()) {
    case Value::Tag::kTuple:
      for (const Value& item : value.as_tuple()) {
        if (item.tag() == Value::Tag::kFloat)
          out.push_back(static_cast<float>(item.as_float()));
        else if (item.tag() == Value::Tag::kInt)
          out.push_back(static_cast<float>(item.as_int()));
        else
          return no_vector();
      }
      return {};
    case Value::Tag::kArray: {
      const NdArray& array = value.as_array();
      if (array.shape.size() != 1) return no_vector();
      std::visit(
          [&](const auto& data) {
            for (const auto item : data) out.push_back(static_cast<float>(item));
          },
          array.data);
      return {};
    }
    case Value::Tag::kJson: return from_json(value.as_text(), out);
    default: return no_vector();
  }
}

}  // namespace

bool may_be_vector(const Type& type) {
  switch (type.kind()) {
    case Kind::kAny:
    case Kind::kJson: return true;
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kArray: {
      const Type element = type.element();
      return element.is_number() || element.is(Kind::kAny) || element.is(Kind::kNone);
    }
    default: return false;
  }
}

Result<void> read_vector(const plan::IndexCell& cell, std::vector<float>& out) {
  out.clear();
  TRY(from_value(cell.column->value(*cell.type, cell.row), out));
  for (const float number : out)
    if (!std::isfinite(number)) return fail(Code::kBadData, "the vector holds a number that is not finite");
  return {};
}

}  // namespace thalweg::llm
