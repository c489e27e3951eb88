#include "connectors/http/request_row.h"

#include <algorithm>

#include "connectors/formats/format.h"
#include "connectors/formats/json_scan.h"
#include "connectors/formats/json_value.h"
#include "connectors/formats/text_value.h"

namespace thalweg::web {
namespace {

constexpr std::size_t kShownMax = 100;

std::unexpected<FieldProblem> does_not_fit(const std::string& name, std::string_view text, const Type& type) {
  std::string shown(text.substr(0, kShownMax));
  if (text.size() > kShownMax) shown += "…";
  return std::unexpected(FieldProblem{name, "`" + name + "`: " + shown + " is no `" + type.to_text() + "`"});
}

bool is_composite(const Type& type) {
  return type.is(Kind::kJson) || type.is(Kind::kList) || type.is(Kind::kTuple) || type.is(Kind::kArray);
}

// A parameter of a URL is text; what is no text is read from it.
std::optional<Value> from_parameter(const Type& type, const std::string& text) {
  if (type.is(Kind::kAny)) return Value::str(text);
  if (type.is(Kind::kStr)) return Value::str(text);
  if (is_composite(type)) {
    if (auto value = json::text_to_value(type, text)) return value;
    if (!type.is(Kind::kJson)) return std::nullopt;
    std::string quoted = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') quoted += '\\';
      if (static_cast<unsigned char>(c) >= 0x20) quoted += c;
    }
    return json::text_to_value(type, quoted + "\"");
  }
  return token_to_value(type, text);
}

std::expected<Value, FieldProblem> cell_of(const plan::SourceField& field, const json::JsonObject* body,
                                           const QueryFields& query) {
  const std::string& name = field.external_name.empty() ? field.name : field.external_name;
  const std::string_view member = body != nullptr ? body->find(name) : std::string_view();
  if (!member.empty()) {
    auto value = json::text_to_value(field.type, member);
    if (!value) return does_not_fit(name, member, field.type);
    return std::move(*value);
  }
  const std::string* parameter = nullptr;
  for (const auto& [key, value] : query)
    if (key == name) parameter = &value;
  if (parameter != nullptr) {
    auto value = from_parameter(field.type, *parameter);
    if (!value) return does_not_fit(name, *parameter, field.type);
    return std::move(*value);
  }
  if (field.default_value) return *field.default_value;
  if (field.type.admits_none()) return Value::none();
  return std::unexpected(FieldProblem{name, "`" + name + "` is required"});
}

}  // namespace

std::expected<std::vector<Value>, FieldProblem> row_of(const std::vector<plan::SourceField>& fields,
                                                       const json::JsonObject* body, const QueryFields& query) {
  std::vector<Value> out;
  out.reserve(fields.size());
  for (const plan::SourceField& field : fields) {
    auto cell = cell_of(field, body, query);
    if (!cell) return std::unexpected(std::move(cell.error()));
    out.push_back(std::move(*cell));
  }
  return out;
}

std::vector<Value> row_with_errors(const std::vector<plan::SourceField>& fields, const json::JsonObject& body,
                                   std::vector<FieldProblem>& problems) {
  std::vector<Value> out;
  out.reserve(fields.size());
  for (const plan::SourceField& field : fields) {
    auto cell = cell_of(field, &body, {});
    if (!cell && (field.used || field.primary_key)) problems.push_back(std::move(cell.error()));
    out.push_back(cell ? std::move(*cell) : Value::error());
  }
  return out;
}

std::optional<Key> primary_key_of(const std::vector<plan::SourceField>& fields, const std::vector<Value>& cells) {
  std::vector<Value> parts;
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (fields[i].primary_key) parts.push_back(cells[i]);
  if (parts.empty()) return std::nullopt;
  if (parts.size() == 1 && parts[0].tag() == Value::Tag::kPointer) return parts[0].as_key();
  return key_of_values(parts);
}

bool has_primary_key(const std::vector<plan::SourceField>& fields) {
  return std::ranges::any_of(fields, [](const plan::SourceField& field) { return field.primary_key; });
}

std::string on_one_line(std::string_view json) {
  std::string out(json);
  bool in_string = false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (in_string && out[i] == '\\')
      ++i;
    else if (out[i] == '"')
      in_string = !in_string;
    else if (!in_string && (out[i] == '\n' || out[i] == '\r'))
      out[i] = ' ';
  }
  return out;
}

namespace {

std::expected<std::vector<BodyRecord>, BodyProblem> elements_of(const std::string& array) {
  std::vector<BodyRecord> out;
  std::string line = array + '\n';  // the scanners want a line of a sealed block
  line.append(kBlockPadding, '\0');
  bool ignored = false;
  const char* p = json::skip_blanks(line.data());
  const char* end = is_utf8(array) ? json::skip_value(p, ignored) : nullptr;
  if (end == nullptr || *json::skip_blanks(end) != '\n') return std::unexpected(BodyProblem{0, "the body is no JSON"});
  p = json::skip_blanks(p + 1);
  while (*p != ']') {
    const char* element_end = json::skip_value(p, ignored);
    auto object = json::JsonObject::parse({p, static_cast<std::size_t>(element_end - p)});
    const std::uint64_t number = out.size() + 1;
    if (!object)
      return std::unexpected(BodyProblem{number, "element " + std::to_string(number) + " is no JSON object"});
    out.push_back({number, std::move(*object)});
    p = json::skip_blanks(element_end);
    if (*p == ',') p = json::skip_blanks(p + 1);
  }
  return out;
}

}  // namespace

std::expected<std::vector<BodyRecord>, BodyProblem> records_of(std::string_view body) {
  while (!body.empty() && (body.back() == '\n' || body.back() == '\r' || body.back() == ' ')) body.remove_suffix(1);
  const std::size_t begin = body.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return std::vector<BodyRecord>();
  std::vector<BodyRecord> out;
  if (body[begin] == '[') return elements_of(on_one_line(body));
  if (auto whole = json::JsonObject::parse(on_one_line(body))) {
    out.push_back({1, std::move(*whole)});
    return out;
  }
  std::uint64_t number = 0;
  while (!body.empty()) {
    const std::size_t end = std::min(body.find('\n'), body.size());
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto object = json::JsonObject::parse(line);
    if (!object) return std::unexpected(BodyProblem{number, "line " + std::to_string(number) + " is no JSON object"});
    out.push_back({number, std::move(*object)});
  }
  return out;
}

Schema used_columns(const std::vector<plan::SourceField>& fields) {
  Schema out;
  for (const plan::SourceField& field : fields)
    if (field.used) out.columns.push_back({field.name, field.type});
  return out;
}

std::vector<Value> used_cells(const std::vector<plan::SourceField>& fields, const std::vector<Value>& cells) {
  std::vector<Value> out;
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i].used) out.push_back(cells[i]);
  return out;
}

}  // namespace thalweg::web
