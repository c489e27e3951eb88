// pipeline_lang/scalar.h
//
// What a scalar means: YAML's and the environment's untyped values, and `${NAME:-default}` inside texts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/types/type.h"
#include "engine/types/value.h"
#include "pipeline_lang/object.h"

namespace thalweg::lang {

// A plain scalar in an untyped position. The rules are YAML 1.1's without octal and sexagesimal numbers: `0123`, `1:30`
// and `1e3` are texts; bools are `true` and `false` only (`on`, `yes` where a bool is expected).
[[nodiscard]] Value untyped_value(std::string_view plain);
// The same for an environment variable: `yes no on off` are bools, an empty value and `null` are texts.
[[nodiscard]] Value environment_value(std::string_view text);

[[nodiscard]] Scalar plain_scalar(std::string text);
[[nodiscard]] Scalar text_scalar(std::string text);
[[nodiscard]] Scalar environment_scalar(std::string text);

// The scalar as a value of `type`: how defaults and rows of data are read. None where it does not fit.
[[nodiscard]] std::optional<Value> value_as(const Object& object, const Type& type);
// As it is: the value of an untyped scalar, lists as tuples, mappings as json.
[[nodiscard]] std::optional<Value> value_of(const Object& object);

// Whether `text` has anything to interpolate: `${` or `$$`.
[[nodiscard]] bool has_interpolation(std::string_view text);
struct Interpolated {
  std::string text;
  std::string error;                           // empty if all went well
  std::size_t error_begin = 0, error_end = 0;  // of the source text
};
// `lookup` gives the text of a name, or nothing.
[[nodiscard]] Interpolated interpolate(std::string_view text,
                                       const std::function<std::optional<std::string>(std::string_view)>& lookup);

}  // namespace thalweg::lang
