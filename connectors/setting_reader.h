// connectors/setting_reader.h
//
// Decoded arguments as C++ values. The language has checked names and types against the table; what is missing here is
// an option without a default.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/setting.h"

namespace thalweg {

class SettingReader {
 public:
  explicit SettingReader(const Setting& args) : args_(args) {}
  [[nodiscard]] bool has(std::string_view name) const {
    const Setting* s = args_.find(name);
    return s && !s->is_null();
  }
  [[nodiscard]] std::string text(std::string_view name, const std::string& fallback = {}) const {
    const Setting* s = args_.find(name);
    const std::string* v = s ? s->as_text() : nullptr;
    return v ? *v : fallback;
  }
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t fallback) const {
    const Setting* s = args_.find(name);
    const std::int64_t* v = s ? s->as_int() : nullptr;
    return v ? *v : fallback;
  }
  [[nodiscard]] double number(std::string_view name, double fallback) const {
    const Setting* s = args_.find(name);
    if (!s) return fallback;
    if (const double* v = s->as_float()) return *v;
    const std::int64_t* v = s->as_int();
    return v ? static_cast<double>(*v) : fallback;
  }
  [[nodiscard]] bool flag(std::string_view name, bool fallback) const {
    const Setting* s = args_.find(name);
    const bool* v = s ? s->as_bool() : nullptr;
    return v ? *v : fallback;
  }
  [[nodiscard]] std::vector<std::string> texts(std::string_view name) const {
    std::vector<std::string> out;
    const Setting* s = args_.find(name);
    const Setting::List* list = s ? s->as_list() : nullptr;
    if (!list) return out;
    for (const Setting& item : *list)
      if (const std::string* v = item.as_text()) out.push_back(*v);
    return out;
  }
  [[nodiscard]] const Setting* map(std::string_view name) const {
    const Setting* s = args_.find(name);
    return s && s->as_map() ? s : nullptr;
  }
  // Where the argument stands, else where the whole does.
  [[nodiscard]] SourceSpan span(std::string_view name) const {
    const Setting* s = args_.find(name);
    return s ? s->span : args_.span;
  }

 private:
  const Setting& args_;
};

}  // namespace thalweg
