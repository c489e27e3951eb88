// engine/types/json_names.h
//
// Names that an object of JSON has twice: as in Python and Postgres the last one counts.
#pragma once

#include <string>
#include <string_view>

namespace thalweg {

// Of JSON without blanks.
[[nodiscard]] bool has_names_twice(std::string_view json);
// Of JSON without blanks: of members of one name the last stays, in the place of the first.
[[nodiscard]] std::string with_unique_names(std::string json);

}  // namespace thalweg
