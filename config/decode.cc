#include "config/decode.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "engine/base/edit_distance.h"
#include "engine/types/from_text.h"

namespace thalweg::config {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::optional<std::int64_t> int_from_literal(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) base = 16;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'B')) base = 2;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'o' || text[1] == 'O')) base = 8;
  if (base != 10) text.remove_prefix(2);
  if (text.empty() || text[0] == '_') return std::nullopt;
  std::string digits;
  for (char c : text)
    if (c != '_') digits += c;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  constexpr std::uint64_t kTop = std::uint64_t{1} << 63;
  if (negative) {
    if (value > kTop) return std::nullopt;
    return static_cast<std::int64_t>(~value + 1);
  }
  if (value >= kTop) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

// Decodes one map of settings against its table.
class Decoder {
 public:
  Decoder(const DecodeOptions& options, std::vector<Error>& errors) : options_(options), errors_(errors) {}

  Setting map(const Setting& given, std::span<const OptionSpec> specs, bool open, const std::string& what) {
    Setting::Map out;
    if (const Setting::Map* entries = given.as_map())
      for (const auto& [name, value] : *entries) entry(name, value, specs, open, what, out);
    else if (!given.is_null())
      wrong(given, "a mapping", what);
    for (const OptionSpec& spec : specs) complete(spec, given, what, out);
    Setting result(std::move(out), given.span);
    result.tag = given.tag;
    return result;
  }

 private:
  static const OptionSpec* find(std::string_view name, std::span<const OptionSpec> specs) {
    for (const OptionSpec& spec : specs) {
      if (spec.name == name) return &spec;
      if (std::find(spec.aliases.begin(), spec.aliases.end(), name) != spec.aliases.end()) return &spec;
    }
    return nullptr;
  }

  void entry(const std::string& name, const Setting& value, std::span<const OptionSpec> specs, bool open,
             const std::string& what, Setting::Map& out) {
    const OptionSpec* spec = find(name, specs);
    if (spec == nullptr) {
      if (open) {
        out.emplace_back(name, value);
        return;
      }
      Error error{Code::kInvalidPipeline, what + " has no setting `" + name + "`", value.span, {}};
      std::vector<std::string> names;
      for (const OptionSpec& known : specs) {
        names.push_back(known.name);
        names.insert(names.end(), known.aliases.begin(), known.aliases.end());
      }
      if (const auto near = nearest_name(name, names)) error.notes.push_back({"did you mean `" + *near + "`?", {}});
      errors_.push_back(std::move(error));
      return;
    }
    if (value.is_null()) return;
    for (const auto& [known, earlier] : out)
      if (known == spec->name) {
        errors_.push_back(Error{Code::kInvalidPipeline,
                                "`" + name + "` and `" + known + "` are the same setting; give it once",
                                value.span,
                                {{"first given here", earlier.span}}});
        return;
      }
    if (auto read = one(value, *spec, "`" + name + "`")) out.emplace_back(spec->name, std::move(*read));
  }

  void complete(const OptionSpec& spec, const Setting& given, const std::string& what, Setting::Map& out) {
    for (const auto& [known, value] : out)
      if (known == spec.name) return;
    if (const Setting::Map* entries = given.as_map())
      for (const auto& [name, value] : *entries)
        if (!value.is_null() && find(name, std::span(&spec, 1)) != nullptr) return;  // given, but wrong
    if (spec.required) {
      if (options_.required_checked) return;
      errors_.push_back(Error{Code::kInvalidPipeline, what + " needs `" + spec.name + "`", given.span, {}});
      if (!spec.doc.empty()) errors_.back().notes.push_back({"`" + spec.name + "`: " + spec.doc, {}});
      return;
    }
    if (spec.fallback.empty()) return;
    Setting value(spec.fallback, given.span);
    if (auto read = one(value, spec, "`" + spec.name + "`")) {
      read->spelling.clear();
      out.emplace_back(spec.name, std::move(*read));
    }
  }

  std::optional<Setting> wrong(const Setting& value, const std::string& expected, const std::string& name) {
    errors_.push_back(
        Error{Code::kInvalidPipeline, name + " takes " + expected + ", found " + describe(value), value.span, {}});
    return std::nullopt;
  }

  template <class T>
  static Setting like(const Setting& value, const OptionSpec& spec, T content) {
    Setting out(std::move(content), value.span);
    out.secret = value.secret || spec.secret;
    out.tag = value.tag;
    return out;
  }

  std::optional<Setting> one(const Setting& value, const OptionSpec& spec, const std::string& name) {
    switch (spec.type) {
      case OptionType::kText:
      case OptionType::kTable:
        if (auto text = as_text(value)) return like(value, spec, std::move(*text));
        return wrong(value, "a text", name);
      case OptionType::kPathOrTable:
        if (auto text = as_text(value); text && !is_path(*text)) return like(value, spec, std::move(*text));
        [[fallthrough]];
      case OptionType::kPath:
        if (auto text = as_text(value))
          return like(value, spec, options_.resolve_path ? options_.resolve_path(value) : std::move(*text));
        return wrong(value, "a path", name);
      case OptionType::kInt:
        if (auto number = as_int(value)) return in_range(value, spec, name, *number);
        return wrong(value, "an int", name);
      case OptionType::kFloat:
        if (auto number = as_float(value)) return in_range(value, spec, name, *number);
        return wrong(value, "a number", name);
      case OptionType::kBool:
        if (auto flag = as_bool(value)) return like(value, spec, *flag);
        return wrong(value, "true or false", name);
      case OptionType::kDuration:
        if (auto ns = as_duration(value, spec.unit_ns)) return like(value, spec, *ns);
        return wrong(value, "a duration such as `5m` or `1h30m`", name);
      case OptionType::kEnum: return choice(value, spec, name);
      case OptionType::kTextList: return text_list(value, spec, name);
      case OptionType::kTextMap: return text_map(value, spec, name);
      case OptionType::kMap:
        if (value.as_map() == nullptr) return wrong(value, "a mapping", name);
        return map(value, spec.fields, spec.open || spec.fields.empty(), name);
      case OptionType::kList:
        if (value.as_list() == nullptr) return wrong(value, "a list", name);
        return value;
      case OptionType::kAny: {
        Setting out = value;
        out.secret = value.secret || spec.secret;
        return out;
      }
    }
    return std::nullopt;
  }

  template <class T>
  std::optional<Setting> in_range(const Setting& value, const OptionSpec& spec, const std::string& name, T number) {
    const auto as_double = static_cast<double>(number);
    if (as_double < spec.min || as_double > spec.max) {
      std::string bounds;
      const auto text = [](double bound) { return std::to_string(static_cast<std::int64_t>(bound)); };
      if (!std::isinf(spec.min)) bounds += " at least " + text(spec.min);
      if (!std::isinf(spec.max)) bounds += std::string(bounds.empty() ? "" : " and") + " at most " + text(spec.max);
      return wrong(value, "a number of" + bounds, name);
    }
    return like(value, spec, number);
  }

  std::optional<Setting> choice(const Setting& value, const OptionSpec& spec, const std::string& name) {
    const auto text = as_text(value);
    if (text)
      if (auto match = match_choice(*text, spec.choices)) return like(value, spec, std::move(*match));
    std::string expected = "one of";
    for (std::size_t i = 0; i < spec.choices.size(); ++i)
      expected += (i == 0 ? " `" : i + 1 == spec.choices.size() ? " or `" : ", `") + spec.choices[i] + "`";
    wrong(value, expected, name);
    if (text)
      if (const auto near = nearest_name(*text, spec.choices))
        errors_.back().notes.push_back({"did you mean `" + *near + "`?", {}});
    return std::nullopt;
  }

  std::optional<Setting> text_list(const Setting& value, const OptionSpec& spec, const std::string& name) {
    Setting::List out;
    if (auto text = as_text(value)) {
      out.push_back(like(value, spec, std::move(*text)));
    } else if (const Setting::List* items = value.as_list()) {
      for (const Setting& item : *items) {
        auto item_text = as_text(item);
        if (!item_text) return wrong(item, "texts", name);
        out.push_back(like(item, spec, std::move(*item_text)));
      }
    } else {
      return wrong(value, "a text or a list of texts", name);
    }
    return like(value, spec, std::move(out));
  }

  std::optional<Setting> text_map(const Setting& value, const OptionSpec& spec, const std::string& name) {
    const Setting::Map* entries = value.as_map();
    if (entries == nullptr) return wrong(value, "a mapping of texts", name);
    Setting::Map out;
    for (const auto& [key, item] : *entries) {
      if (item.is_null()) continue;
      auto text = as_text(item);
      if (!text) return wrong(item, "texts as values", name);
      out.emplace_back(key, like(item, spec, std::move(*text)));
    }
    return like(value, spec, std::move(out));
  }

  const DecodeOptions& options_;
  std::vector<Error>& errors_;
};

}  // namespace

Setting decode(const Setting& given, std::span<const OptionSpec> specs, const DecodeOptions& options,
               std::vector<Error>& errors) {
  return Decoder(options, errors).map(given, specs, false, options.what.empty() ? "this" : options.what);
}

std::optional<std::string> match_choice(std::string_view text, std::span<const std::string> choices) {
  const auto same = [](std::string_view a, std::string_view b) { return lower(a) == lower(b); };
  for (const std::string& choice : choices)
    if (same(text, choice)) return choice;
  const std::size_t dot = text.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  for (const std::string& choice : choices)
    if (same(text.substr(dot + 1), choice)) return choice;
  return std::nullopt;
}

bool is_path(std::string_view path_or_table) { return path_or_table.find_first_of("/.") != std::string_view::npos; }

std::string_view type_text(OptionType type) {
  switch (type) {
    case OptionType::kText: return "text";
    case OptionType::kPath: return "path";
    case OptionType::kPathOrTable: return "path or table name";
    case OptionType::kInt: return "int";
    case OptionType::kFloat: return "float";
    case OptionType::kBool: return "bool";
    case OptionType::kDuration: return "duration";
    case OptionType::kEnum: return "one of";
    case OptionType::kTextList: return "list of texts";
    case OptionType::kMap: return "mapping";
    case OptionType::kTextMap: return "mapping of texts";
    case OptionType::kList: return "list";
    case OptionType::kAny: return "anything";
    case OptionType::kTable: return "table";
  }
  return "";
}

std::optional<std::string> as_text(const Setting& value) {
  if (const std::string* text = value.as_text()) return *text;
  if (!value.spelling.empty()) return value.spelling;
  if (const bool* flag = value.as_bool()) return std::string(*flag ? "true" : "false");
  if (const std::int64_t* number = value.as_int()) return std::to_string(*number);
  if (const double* number = value.as_float()) {
    char buffer[64];
    const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, *number);
    return std::string(buffer, end);
  }
  return std::nullopt;
}

std::optional<std::int64_t> as_int(const Setting& value) {
  if (const std::int64_t* number = value.as_int()) return *number;
  if (const std::string* text = value.as_text()) return int_from_literal(*text);
  return std::nullopt;
}

std::optional<double> as_float(const Setting& value) {
  if (const double* number = value.as_float()) return *number;
  if (const std::int64_t* number = value.as_int()) return static_cast<double>(*number);
  if (const std::string* text = value.as_text()) {
    if (auto number = float_from_text(*text)) return number;
    if (auto number = int_from_literal(*text)) return static_cast<double>(*number);
  }
  return std::nullopt;
}

std::optional<bool> as_bool(const Setting& value) {
  if (const bool* flag = value.as_bool()) return *flag;
  const std::string* text = value.as_text();
  if (text == nullptr) return std::nullopt;
  const std::string word = lower(*text);
  for (std::string_view yes : {"true", "yes", "on", "y"})
    if (word == yes) return true;
  for (std::string_view no : {"false", "no", "off", "n"})
    if (word == no) return false;
  return std::nullopt;
}

std::optional<std::int64_t> as_duration(const Setting& value, std::int64_t unit_ns) {
  if (auto number = as_float(value)) {
    const double ns = *number * static_cast<double>(unit_ns);
    if (!(std::fabs(ns) < 9.2e18)) return std::nullopt;
    return static_cast<std::int64_t>(std::llround(ns));
  }
  if (const std::string* text = value.as_text()) return duration_from_text(*text);
  return std::nullopt;
}

std::string describe(const Setting& value) {
  if (value.secret) return "***";
  if (value.is_null()) return "nothing";
  if (value.as_list() != nullptr) return "a list";
  if (value.as_map() != nullptr) return "a mapping";
  constexpr std::size_t kShown = 40;
  const auto text = as_text(value);
  std::string shown = text ? *text : std::string();
  if (shown.size() > kShown) shown = shown.substr(0, kShown) + "…";
  return "`" + shown + "`";
}

}  // namespace thalweg::config
