#include "connectors/formats/json.h"

#include <fmt/format.h>

#include <charconv>
#include <unordered_map>

#include "connectors/formats/fast_number.h"
#include "connectors/formats/json_scan.h"
#include "connectors/formats/json_value.h"
#include "connectors/formats/row_writer.h"
#include "engine/types/json_names.h"

namespace thalweg {

namespace {

using Want = JsonLinesDecoder::Want;

// The keys of one kind of object in the order in which they came last.
class KeyOrder {
 public:
  struct Slot {
    alignas(16) char head[16] = {};  // the key's bytes and its quote
    alignas(16) char mask[16] = {};
    std::uint32_t length = 0;    // with the quote
    std::string tail;            // of longer keys
    const Want* want = nullptr;  // null: nobody reads it
  };
  // The slot at `index` if the key there is the expected one; `p` is after the opening quote.
  [[nodiscard]] const Slot* match(std::size_t index, const char* p) const {
    if (index >= slots_.size()) return nullptr;
    const Slot& slot = slots_[index];
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i differ = _mm_and_si128(_mm_xor_si128(bytes, _mm_load_si128(reinterpret_cast<const __m128i*>(slot.head))),
                                   _mm_load_si128(reinterpret_cast<const __m128i*>(slot.mask)));
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(differ, _mm_setzero_si128())) != 0xFFFF) return nullptr;
    if (slot.length > 16 && std::char_traits<char>::compare(p + 16, slot.tail.data(), slot.tail.size()) != 0)
      return nullptr;
    return &slot;
  }
  void learn(std::size_t index, std::string_view key_and_quote, const Want* want) {
    if (index > slots_.size() || index >= kSlotsMax) return;
    if (index == slots_.size()) slots_.emplace_back();
    Slot& slot = slots_[index];
    slot = Slot{};
    slot.length = static_cast<std::uint32_t>(key_and_quote.size());
    std::size_t head = std::min<std::size_t>(key_and_quote.size(), 16);
    std::memcpy(slot.head, key_and_quote.data(), head);
    std::memset(slot.mask, 0xFF, head);
    slot.tail = key_and_quote.substr(head);
    slot.want = want;
  }

 private:
  static constexpr std::size_t kSlotsMax = 512;
  std::vector<Slot> slots_;
};

class JsonBlock {
 public:
  JsonBlock(const RecordLayout& layout, const Want& root, const BlockRef& block, const BlockInfo& info,
            Reporter& report)
      : layout_(layout),
        root_(root),
        info_(info),
        rows_(layout, block, info, report),
        seen_((layout.num_payload + 63) / 64),
        all_(seen_.size(), ~std::uint64_t{0}) {
    if (std::size_t left = layout.num_payload % 64) all_.back() = (std::uint64_t{1} << left) - 1;
    kinds_.reserve(layout.fields.size());
    for (const RecordField& field : layout.fields) kinds_.push_back(field.type.kind());
  }

  void decode(std::string_view bytes) {
    const char* p = bytes.data();
    const char* end = p + bytes.size();
    for (std::uint64_t line = info_.first_line; p < end; ++line) {
      const char* next = decode_line(p, line);
      if (next) {
        p = next;
        continue;
      }
      p = static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p))) + 1;
    }
    rows_.flush();
  }

 private:
  // The start of the next line; null if it is yet to be found.
  const char* decode_line(const char* record, std::uint64_t line) {
    const char* p = json::skip_blanks(record);
    if (*p == '\n') {
      rows_.empty_record(record, line);
      return p + 1;
    }
    if (*p != '{') return bad(record, p, line, "is not a JSON object");
    if (rows_.must_check_utf8() && !check_utf8(record, line)) return nullptr;
    std::fill(seen_.begin(), seen_.end(), 0);
    problem_ = nullptr;
    p = value(root_, p, 0);
    if (!p) return bad(record, place_, line, problem_ ? problem_ : "is not valid JSON");
    p = json::skip_blanks(p);
    if (*p != '\n') return bad(record, p, line, "is not valid JSON: there is text after the object");
    if (seen_ != all_) fill_missing(record);
    rows_.finish_row(record, line);
    return p + 1;
  }

  const char* bad(const char* record, const char* at, std::uint64_t line, std::string_view what) {
    rows_.bad_record(record, at, line, fmt::format("the {} {}", rows_.in_messages() ? "message" : "line", what));
    return nullptr;
  }

  bool check_utf8(const char* record, std::uint64_t line) {
    const char* end =
        static_cast<const char*>(std::memchr(record, '\n', static_cast<std::size_t>(rows_.block_end() - record)));
    if (is_utf8({record, static_cast<std::size_t>(end - record)})) return true;
    bad(record, record, line, "is not valid UTF-8");
    return false;
  }

  void fill_missing(const char* record) {
    for (std::size_t i = 0; i < layout_.num_payload; ++i)
      if (!(seen_[i / 64] >> (i % 64) & 1)) rows_.fill_missing(i, record);
  }

  // What is wanted of the value at `p`; its end, or null.
  const char* value(const Want& want, const char* p, int depth) {
    place_ = p;
    if (want.field < 0) return inside(want, p, depth);
    auto field = static_cast<std::size_t>(want.field);
    const char* end = field_value(field, p);
    seen_[field / 64] |= std::uint64_t{1} << (field % 64);
    if (!end || want.children.empty()) return end;
    return inside(want, p, depth);
  }

  const char* inside(const Want& want, const char* p, int depth) {
    if (depth > json::kDepthMax) return nullptr;
    if (*p == '{') return object(want, p, depth);
    if (*p == '[') return array(want, p, depth);
    return skip(p);
  }

  const char* skip(const char* p) {
    bool blanks = false;
    return json::skip_value(p, blanks);
  }

  const char* object(const Want& want, const char* p, int depth) {
    KeyOrder& order = want.field < 0 && &want == &root_ ? root_order_ : orders_[&want];
    p = json::skip_blanks(p + 1);
    if (*p == '}') return p + 1;
    for (std::size_t index = 0;; ++index) {
      place_ = p;
      if (*p != '"') return fail("is not valid JSON: expected a key in double quotes");
      ++p;
      const Want* child;
      if (const KeyOrder::Slot* slot = order.match(index, p)) {
        child = slot->want;
        p += slot->length;
      } else {
        p = unexpected_key(want, order, index, p, child);
        if (!p) return nullptr;
      }
      p = json::skip_blanks(p);
      place_ = p;
      if (*p != ':') return fail("is not valid JSON: expected `:` after a key");
      p = json::skip_blanks(p + 1);
      place_ = p;
      p = child ? value(*child, p, depth + 1) : skip(p);
      if (!p) return nullptr;
      p = json::skip_blanks(p);
      if (*p == '}') return p + 1;
      place_ = p;
      if (*p != ',') return fail("is not valid JSON: expected `,` or `}` after a value");
      p = json::skip_blanks(p + 1);
    }
  }

  const char* unexpected_key(const Want& want, KeyOrder& order, std::size_t index, const char* p, const Want*& child) {
    bool escaped = false;
    const char* end = json::string_end(p, escaped);
    if (!end) return nullptr;
    std::string_view key(p, static_cast<std::size_t>(end - p));
    std::string plain;
    if (escaped) {
      if (!json::unescape(key, plain)) return fail("is not valid JSON: half a surrogate pair in a key");
      key = plain;
    }
    auto found = want.children.find(key);
    child = found == want.children.end() ? nullptr : found->second.get();
    if (!escaped) order.learn(index, {p, static_cast<std::size_t>(end - p + 1)}, child);
    return end + 1;
  }

  const char* array(const Want& want, const char* p, int depth) {
    p = json::skip_blanks(p + 1);
    if (*p == ']') return p + 1;
    for (std::size_t index = 0;; ++index) {
      auto found = want.children.find(std::to_string(index));
      p = found == want.children.end() ? skip(p) : value(*found->second, p, depth + 1);
      if (!p) return nullptr;
      p = json::skip_blanks(p);
      if (*p == ']') return p + 1;
      place_ = p;
      if (*p != ',') return fail("is not valid JSON: expected `,` or `]` after a value");
      p = json::skip_blanks(p + 1);
    }
  }

  const char* fail(const char* problem) {
    problem_ = problem;
    return nullptr;
  }

  const char* field_value(std::size_t field, const char* p) {
    switch (kinds_[field]) {
      case Kind::kStr:
        if (*p == '"') return text(field, p);
        break;
      case Kind::kInt:
        if (const char* end = integer(field, p)) return end;
        break;
      case Kind::kFloat:
        if (const char* end = number(field, p)) return end;
        break;
      case Kind::kBool:
        if (json::is_word(p, "true")) return rows_.put_bool(field, true), p + 4;
        if (json::is_word(p, "false")) return rows_.put_bool(field, false), p + 5;
        break;
      case Kind::kDateTimeNaive:
      case Kind::kDateTimeUtc:
        if (const char* end = datetime(field, p)) return end;
        break;
      case Kind::kJson: return json_value(field, p);
      default: break;
    }
    return other_value(field, p);
  }

  const char* text(std::size_t field, const char* p) {
    bool escaped = false;
    const char* end = json::string_end(p + 1, escaped);
    if (!end) return fail("is not valid JSON: a control character, a bad escape or no end of a string");
    std::string_view content(p + 1, static_cast<std::size_t>(end - p - 1));
    if (!escaped) {
      rows_.put_view(field, padded_view(content.data(), static_cast<std::uint32_t>(content.size())));
      return end + 1;
    }
    scratch_.clear();
    if (!json::unescape(content, scratch_)) return fail("is not valid JSON: half a surrogate pair in a string");
    rows_.put_text_copy(field, scratch_);
    return end + 1;
  }

  // Null: not a plain integer that fits.
  const char* integer(std::size_t field, const char* p) {
    bool negative = *p == '-';
    const char* digits = p + negative;
    std::uint64_t v = 0;
    const char* end = digits;
    while (static_cast<unsigned char>(*end - '0') < 10) v = v * 10 + static_cast<std::uint64_t>(*end++ - '0');
    auto count = end - digits;
    if (count == 0 || count > 18 || *end == '.' || *end == 'e' || *end == 'E' || (*digits == '0' && count > 1))
      return nullptr;
    rows_.put_int(field, negative ? -static_cast<std::int64_t>(v) : static_cast<std::int64_t>(v));
    return end;
  }

  const char* number(std::size_t field, const char* p) {
    json::NumberEnd number = json::skip_number(p);
    if (!number.end) return nullptr;
    double v = 0;
    if (!fast_float(p, static_cast<std::size_t>(number.end - p), v)) {
      auto [end, error] = std::from_chars(p, number.end, v);
      if (error != std::errc{}) return nullptr;
    }
    rows_.put_float(field, v);
    return number.end;
  }

  // Null: not in the usual form; the general way decides.
  const char* datetime(std::size_t field, const char* p) {
    if (*p != '"') return nullptr;
    bool escaped = false;
    const char* end = json::string_end(p + 1, escaped);
    if (!end) return nullptr;
    auto length = static_cast<std::size_t>(end - p - 1);
    if (kinds_[field] == Kind::kDateTimeUtc && end[-1] == 'Z') --length;
    std::int64_t ns = 0;
    if (!fast_datetime(p + 1, length, ns)) return nullptr;
    rows_.put_int(field, ns);
    return end + 1;
  }

  const char* json_value(std::size_t field, const char* p) {
    bool blanks = false;
    const char* end = json::skip_value(p, blanks);
    if (!end) return nullptr;
    std::string_view raw(p, static_cast<std::size_t>(end - p));
    if (*p == 'n' && layout_.fields[field].type.optional())
      rows_.put_none(field);
    else if (blanks || has_names_twice(raw))
      rows_.put_text_copy(field, with_unique_names(json::without_blanks(raw)));
    else
      rows_.put_view(field, padded_view(p, static_cast<std::uint32_t>(raw.size())));
    return end;
  }

  // Rare types, None, and what does not fit.
  const char* other_value(std::size_t field, const char* p) {
    const char* end = skip(p);
    if (!end) return nullptr;
    const Type& type = layout_.fields[field].type;
    if (auto value = json::to_value(type, p)) {
      rows_.put_value(field, *value);
      return end;
    }
    constexpr std::size_t kShownBytes = 80;
    std::string_view raw(p, std::min<std::size_t>(static_cast<std::size_t>(end - p), kShownBytes));
    rows_.put_error(field, p,
                    fmt::format("is {}{}, not {}", raw, raw.size() == kShownBytes ? "…" : "", type.to_text()));
    return end;
  }

  const RecordLayout& layout_;
  const Want& root_;
  const BlockInfo& info_;
  RowWriter rows_;
  std::vector<Kind> kinds_;
  std::vector<std::uint64_t> seen_;  // bits of fields
  std::vector<std::uint64_t> all_;
  KeyOrder root_order_;
  std::unordered_map<const Want*, KeyOrder> orders_;
  std::string scratch_;
  const char* place_ = nullptr;  // the token at work, for messages
  const char* problem_ = nullptr;
};

// `/a/b~1c` → {`a`, `b/c`}.
Result<std::vector<std::string>> split_pointer(const std::string& pointer) {
  std::vector<std::string> out;
  if (pointer.empty()) return out;
  if (pointer[0] != '/')
    return fail(Code::kInvalidArgument,
                fmt::format("`{}` is not a JSON pointer: it must be empty or begin with `/`", pointer));
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    char c = pointer[i];
    if (c == '/') {
      out.emplace_back();
    } else if (c != '~') {
      out.back() += c;
    } else {
      char code = i + 1 < pointer.size() ? pointer[i + 1] : '\0';
      if (code != '0' && code != '1')
        return fail(Code::kInvalidArgument,
                    fmt::format("`{}` is not a JSON pointer: `~` must be followed by 0 or 1", pointer));
      out.back() += code == '0' ? '~' : '/';
      ++i;
    }
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<JsonLinesDecoder>> JsonLinesDecoder::make(const RecordLayout& layout, const JsonPaths& paths) {
  auto root = std::make_unique<Want>();
  for (std::size_t i = 0; i < layout.num_payload; ++i) {
    const RecordField& field = layout.fields[i];
    auto path = paths.find(field.name);
    std::vector<std::string> steps{field.external_name};
    if (path != paths.end()) steps = TRY(split_pointer(path->second));
    if (steps.size() > static_cast<std::size_t>(json::kDepthMax))
      return fail(Code::kInvalidArgument,
                  fmt::format("the path of column `{}` is deeper than {} levels", field.name, json::kDepthMax));
    Want* at = root.get();
    for (const std::string& step : steps) {
      auto& child = at->children[step];
      if (!child) child = std::make_unique<Want>();
      at = child.get();
    }
    if (at->field >= 0)
      return fail(Code::kInvalidArgument,
                  fmt::format("columns `{}` and `{}` are read from the same place",
                              layout.fields[static_cast<std::size_t>(at->field)].name, field.name));
    at->field = static_cast<std::int32_t>(i);
  }
  return std::unique_ptr<JsonLinesDecoder>(new JsonLinesDecoder(layout, std::move(root)));
}

void JsonLinesDecoder::decode(const BlockRef& block, const BlockInfo& info, Reporter& report) const {
  JsonBlock(layout_, *root_, block, info, report).decode(block->view());
}

}  // namespace thalweg
