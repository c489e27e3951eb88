// engine/base/edit_distance.h
//
// "Did you mean": optimal string alignment distance, case-insensitive.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace thalweg {

[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);
// The nearest of `names`, if it is near enough to be a likely slip (a third of the length, at least 1).
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> names);

}  // namespace thalweg
