// engine/expr/json_elements.h
//
// The elements of a json array, as compact json texts.
#pragma once

#include <functional>
#include <string_view>

namespace thalweg::expr {

// False if `json` is no array. The views live as long as `json`.
bool for_each_json_element(std::string_view json, const std::function<void(std::string_view)>& visit);

}  // namespace thalweg::expr
