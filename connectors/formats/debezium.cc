#include "connectors/formats/debezium.h"

#include <cstring>

#include <fmt/format.h>

#include "connectors/formats/json_object.h"
#include "connectors/formats/json_scan.h"
#include "connectors/formats/json_value.h"
#include "connectors/formats/text_value.h"

namespace thalweg {

namespace {

constexpr std::string_view kUnavailable = "__debezium_unavailable_value";

// Calls back with the name and the place of every member. Requires: an object that skip_value accepts.
template <class Use>
void each_member(const char* p, Use use) {
  bool ignored = false;
  p = json::skip_blanks(p + 1);
  std::string plain;
  while (*p == '"') {
    bool escaped = false;
    const char* const key_end = json::string_end(p + 1, escaped);
    std::string_view name(p + 1, static_cast<std::size_t>(key_end - p - 1));
    if (plain.clear(); escaped && json::unescape(name, plain)) name = plain;
    const char* const value = json::skip_blanks(json::skip_blanks(key_end + 1) + 1);
    const char* const end = json::skip_value(value, ignored);
    use(name, value, end);
    p = json::skip_blanks(end);
    if (*p == ',') p = json::skip_blanks(p + 1);
  }
}

// The text of a string; nothing if it is another value.
std::optional<std::string> text_at(const char* p) {
  if (*p != '"') return std::nullopt;
  bool escaped = false;
  const char* const end = json::string_end(p + 1, escaped);
  const std::string_view content(p + 1, static_cast<std::size_t>(end - p - 1));
  if (!escaped) return std::string(content);
  std::string out;
  if (!json::unescape(content, out)) return std::nullopt;
  return out;
}

bool is_null(const char* p) { return p == nullptr || json::is_word(p, "null"); }

// A text of its own, as the scanners want it: one line with room behind.
std::string sealed(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '\n') c = '\r';
  out += '\n';
  out.append(kBlockPadding, '\0');
  return out;
}

// `{"$oid": "x"}` and its like: the text or number inside. Nothing if the value is not of that kind.
std::optional<Value> extended_value(const Type& type, const char* p) {
  std::optional<Value> out;
  std::size_t members = 0;
  each_member(p, [&](std::string_view name, const char* value, const char*) {
    ++members;
    if (!name.starts_with('$')) return;
    const bool date = name == "$date";
    if (*value == '{') {
      out = extended_value(date ? Type(Kind::kInt) : type, value);
    } else if (const auto text = text_at(value)) {
      out = token_to_value(type, *text);
    } else {
      out = json::to_value(date ? Type(Kind::kInt) : type, value);
    }
    constexpr std::int64_t kMs = 1'000'000;
    if (date && out && out->tag() == Value::Tag::kInt) {
      const std::int64_t ns = out->as_int() * kMs;
      if (type.is(Kind::kDateTimeUtc)) out = Value::datetime_utc(ns);
      if (type.is(Kind::kDateTimeNaive)) out = Value::datetime_naive(ns);
    }
  });
  if (members != 1) return std::nullopt;
  return out;
}

std::optional<Value> value_of(const Type& type, const char* p) {
  if (auto value = json::to_value(type, p)) return value;
  return *p == '{' ? extended_value(type, p) : std::nullopt;
}

}  // namespace

struct DebeziumDecoder::Envelope {
  std::string op;
  const char* before = nullptr;
  const char* after = nullptr;
  bool found = false;

  void read(const char* object) {
    each_member(object, [&](std::string_view name, const char* value, const char*) {
      if (name == "op") op = text_at(value).value_or(""), found = true;
      if (name == "before") before = value;
      if (name == "after") after = value;
    });
  }
};

DebeziumDecoder::DebeziumDecoder(const RecordLayout& layout, Database database, bool upsert)
    : layout_(layout), database_(database), upsert_(upsert) {
  for (std::size_t i = 0; i < layout.num_payload; ++i) fields_.emplace(layout.fields[i].external_name, i);
}

void DebeziumDecoder::decode(RowWriter& rows, const char* record, std::uint64_t line,
                             std::optional<std::string_view> key) const {
  const char* p = json::skip_blanks(record);
  if (*p == '\n' || json::is_word(p, "null")) return;  // a tombstone
  bool blanks = false;
  const char* const end = *p == '{' ? json::skip_value(p, blanks) : nullptr;
  if (end == nullptr || *json::skip_blanks(end) != '\n')
    return rows.bad_record(record, p, line, "the message is not a JSON object");
  if (rows.must_check_utf8() && !is_utf8({record, static_cast<std::size_t>(end - record)}))
    return rows.bad_record(record, p, line, "the message is not valid UTF-8");
  Envelope envelope;
  envelope.read(p);
  if (!envelope.found)
    each_member(p, [&](std::string_view name, const char* value, const char*) {
      if (name == "payload" && *value == '{') envelope.read(value);
    });
  if (!envelope.found)
    return rows.bad_record(record, p, line,
                           "the message is not one of Debezium: it has no `op`, nor a `payload` with one (are the "
                           "messages unwrapped? then `io.kafka.read` reads them)");
  change(rows, record, line, envelope, key);
}

void DebeziumDecoder::change(RowWriter& rows, const char* record, std::uint64_t line, const Envelope& envelope,
                             std::optional<std::string_view> key) const {
  const std::string& op = envelope.op;
  if (op == "m") return;
  if (op == "t" && upsert_) return rows.clear_all();
  if (op == "t")
    return rows.bad_record(record, record, line, "the table was truncated: which rows that took is not said");
  const bool inserts = op == "c" || op == "r" || op == "u";
  if (!inserts && op != "d")
    return rows.bad_record(record, record, line, fmt::format("`{}` is no operation of Debezium", op));
  std::string document;  // MongoDB: the text of a row is a text of JSON itself
  const auto row_of = [&](const char* place) -> const char* {
    if (is_null(place)) return nullptr;
    if (*place == '{') return place;
    const auto text = text_at(place);
    if (!text) return nullptr;
    document = sealed(*text);
    bool ignored = false;
    const char* const start = json::skip_blanks(document.data());
    return *start == '{' && json::skip_value(start, ignored) != nullptr ? start : nullptr;
  };
  const bool takes_back = op == "d" || (op == "u" && !upsert_);
  if (op == "d" && upsert_) return delete_by_key(rows, record, line, row_of(envelope.before), key);
  if (takes_back) {
    const char* const before = row_of(envelope.before);
    if (before == nullptr)
      return rows.bad_record(record, record, line,
                             "the message does not say what the row was before: the table needs REPLICA IDENTITY FULL, "
                             "or the source `session_type: upsert`");
    put_row(rows, before, document.empty());
    rows.finish_row(record, line, -1);
  }
  if (!inserts) return;
  const char* const after = row_of(envelope.after);
  if (after == nullptr)
    return rows.bad_record(
        record, record, line,
        database_ == Database::kMongo
            ? "the message has no `after`: the connector needs capture.mode change_streams_update_full"
            : "the message has no `after`");
  put_row(rows, after, document.empty());
  if (database_ == Database::kMongo && key) std::ignore = put_key(rows, *key);
  rows.finish_row(record, line);
}

void DebeziumDecoder::delete_by_key(RowWriter& rows, const char* record, std::uint64_t line, const char* before,
                                    std::optional<std::string_view> key) const {
  for (std::size_t i = 0; i < layout_.num_payload; ++i) rows.put_none(i);
  const bool by_key = key && put_key(rows, *key);
  if (!by_key && before == nullptr)
    return rows.bad_record(record, record, line, "the message does not say which row is deleted: it has no key");
  if (!by_key) put_row(rows, before, false);
  rows.finish_row(record, line, -1);
}

// The primary key from the message's key; false if it is not there.
bool DebeziumDecoder::put_key(RowWriter& rows, std::string_view key) const {
  const std::string text = sealed(key);
  const char* p = json::skip_blanks(text.data());
  bool ignored = false;
  if (!is_utf8(key) || *p != '{' || json::skip_value(p, ignored) == nullptr) return false;
  each_member(p, [&](std::string_view name, const char* value, const char*) {
    if (name == "payload" && *value == '{') p = value;
  });
  std::size_t found = 0;
  each_member(p, [&](std::string_view name, const char* value, const char* end) {
    if (database_ == Database::kMongo && name == "id") {
      // A text that holds the JSON of the id.
      const auto id = text_at(value);
      const std::string inner = id ? sealed(*id) : std::string();
      const bool is_json = id && json::skip_value(json::skip_blanks(inner.data()), ignored) != nullptr;
      for (std::size_t i = 0; i < layout_.num_payload; ++i) {
        if (!layout_.fields[i].primary_key) continue;
        ++found;
        const std::optional<Value> whole =
            is_json ? value_of(layout_.fields[i].type, json::skip_blanks(inner.data())) : std::optional<Value>{};
        if (whole)
          rows.put_value(i, *whole);
        else
          put_cell(rows, i, value, end, false);
      }
      return;
    }
    const auto field = fields_.find(name);
    if (field == fields_.end() || !layout_.fields[field->second].primary_key) return;
    ++found;
    put_cell(rows, field->second, value, end, false);
  });
  return found >= layout_.key_fields.size();
}

void DebeziumDecoder::put_row(RowWriter& rows, const char* object, bool in_block) const {
  std::vector<bool> seen(layout_.num_payload);
  each_member(object, [&](std::string_view name, const char* value, const char* end) {
    const auto field = fields_.find(name);
    if (field == fields_.end()) return;
    seen[field->second] = true;
    put_cell(rows, field->second, value, end, in_block);
  });
  for (std::size_t i = 0; i < seen.size(); ++i)
    if (!seen[i]) rows.fill_missing(i, object);
}

void DebeziumDecoder::put_cell(RowWriter& rows, std::size_t field, const char* p, const char* end,
                               bool in_block) const {
  const Type& type = layout_.fields[field].type;
  const std::string_view raw(p, static_cast<std::size_t>(end - p));
  if (raw.size() == kUnavailable.size() + 2 && raw.substr(1, kUnavailable.size()) == kUnavailable) {
    if (upsert_) return rows.put_pending(field);
    return rows.put_error(field, p,
                          "was not sent, as it is large and did not change: the table needs REPLICA IDENTITY "
                          "FULL, or the source `session_type: upsert`");
  }
  const bool plain = in_block && *p == '"' && std::memchr(p, '\\', raw.size()) == nullptr;
  if (plain && type.is(Kind::kStr))
    return rows.put_view(field, padded_view(p + 1, static_cast<std::uint32_t>(raw.size() - 2)));
  if (const auto value = value_of(type, p)) return rows.put_value(field, *value);
  constexpr std::size_t kShownBytes = 80;
  rows.put_error(field, p, fmt::format("is {}, not {}", raw.substr(0, kShownBytes), type.to_text()));
}

}  // namespace thalweg
