// engine/base/setting.h
//
// A resolved setting: scalars, lists and maps with the place each came from. The arguments of connectors are
// settings (plain data inside a plan); config/ checks them against tables of OptionSpec. Knows no YAML.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/source_span.h"

namespace thalweg {

class Setting {
 public:
  using List = std::vector<Setting>;
  using Map = std::vector<std::pair<std::string, Setting>>;  // in file order; keys are unique

  Setting() = default;
  explicit Setting(bool value, SourceSpan at = {}) : value_(value), span(at) {}
  explicit Setting(std::int64_t value, SourceSpan at = {}) : value_(value), span(at) {}
  explicit Setting(double value, SourceSpan at = {}) : value_(value), span(at) {}
  explicit Setting(std::string value, SourceSpan at = {}) : value_(std::move(value)), span(at) {}
  explicit Setting(List value, SourceSpan at = {}) : value_(std::move(value)), span(at) {}
  explicit Setting(Map value, SourceSpan at = {}) : value_(std::move(value)), span(at) {}

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  [[nodiscard]] const bool* as_bool() const { return std::get_if<bool>(&value_); }
  [[nodiscard]] const std::int64_t* as_int() const { return std::get_if<std::int64_t>(&value_); }
  [[nodiscard]] const double* as_float() const { return std::get_if<double>(&value_); }
  [[nodiscard]] const std::string* as_text() const { return std::get_if<std::string>(&value_); }
  [[nodiscard]] const List* as_list() const { return std::get_if<List>(&value_); }
  [[nodiscard]] const Map* as_map() const { return std::get_if<Map>(&value_); }
  [[nodiscard]] Map* as_map() { return std::get_if<Map>(&value_); }
  // The entry of a map, or null.
  [[nodiscard]] const Setting* find(std::string_view key) const {
    if (const Map* map = as_map())
      for (const auto& [name, value] : *map)
        if (name == key) return &value;
    return nullptr;
  }

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map> value_;

 public:
  SourceSpan span;
  std::string spelling;  // of a scalar that is no text: as it was written (`0x1F`), for whoever wants the text
  std::string tag;       // component name for a tagged map (`!io.postgres.PasswordSecret`), else empty
  bool secret = false;   // prints as *** everywhere
};

}  // namespace thalweg
