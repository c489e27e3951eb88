#include "engine/types/type.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include "engine/base/ensure.h"

namespace thalweg {

namespace {
const std::vector<Type> kNoArgs;
}

Type Type::tuple(std::vector<Type> elements) {
  Type type(Kind::kTuple);
  type.args_ = std::make_shared<const std::vector<Type>>(std::move(elements));
  return type;
}

Type Type::list(Type element) {
  Type type(Kind::kList);
  type.args_ = std::make_shared<const std::vector<Type>>(std::vector<Type>{std::move(element)});
  return type;
}

Type Type::array(Kind element, int dims) {
  Type type(Kind::kArray);
  type.args_ = std::make_shared<const std::vector<Type>>(std::vector<Type>{Type(element)});
  type.dims_ = static_cast<std::int8_t>(dims);
  return type;
}

Type Type::as_optional() const {
  Type type = *this;
  if (kind_ != Kind::kAny && kind_ != Kind::kNone) type.optional_ = true;
  return type;
}

Type Type::without_optional() const {
  Type type = *this;
  type.optional_ = false;
  return type;
}

const std::vector<Type>& Type::args() const { return args_ ? *args_ : kNoArgs; }

Type Type::element() const {
  if (kind_ == Kind::kList) return args().empty() ? Type(Kind::kAny) : args()[0];
  if (kind_ == Kind::kArray) {
    if (dims_ == 1) return args().empty() ? Type(Kind::kAny) : args()[0];
    if (dims_ > 1) return array(args()[0].kind(), dims_ - 1);
    return Type(Kind::kAny);
  }
  if (kind_ == Kind::kTuple && !args().empty()) {
    Type common = args()[0];
    for (const Type& arg : args()) {
      auto next = common_supertype(common, arg);
      if (!next) return Type(Kind::kAny);
      common = *next;
    }
    return common;
  }
  return Type(Kind::kAny);
}

Phys Type::phys() const {
  switch (kind_) {
    case Kind::kNone:
    case Kind::kBool: return Phys::kU8;
    case Kind::kInt:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kDuration: return Phys::kI64;
    case Kind::kFloat: return Phys::kF64;
    case Kind::kPointer:
    case Kind::kUuid: return Phys::kU128;
    case Kind::kStr:
    case Kind::kBytes:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kJson:
    case Kind::kAny: return Phys::kView;
  }
  UNREACHABLE();
}

bool Type::is_encoded() const {
  return kind_ == Kind::kTuple || kind_ == Kind::kList || kind_ == Kind::kArray || kind_ == Kind::kAny;
}

bool operator==(const Type& a, const Type& b) {
  return a.kind_ == b.kind_ && a.optional_ == b.optional_ && a.dims_ == b.dims_ && a.args() == b.args();
}

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kNone: return "None";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kPointer: return "pointer";
    case Kind::kStr: return "str";
    case Kind::kBytes: return "bytes";
    case Kind::kTuple: return "tuple";
    case Kind::kList: return "list";
    case Kind::kArray: return "array";
    case Kind::kDateTimeNaive: return "datetime_naive";
    case Kind::kDateTimeUtc: return "datetime_utc";
    case Kind::kDuration: return "duration";
    case Kind::kUuid: return "uuid";
    case Kind::kJson: return "json";
    case Kind::kAny: return "any";
  }
  UNREACHABLE();
}

std::string Type::to_text() const {
  std::string out(kind_name(kind_));
  if (kind_ == Kind::kArray) {
    bool named = !args().empty() && !args()[0].is(Kind::kAny);
    if (named || dims_ >= 0) {
      out += '[';
      out += named ? args()[0].to_text() : "any";
      if (dims_ >= 0) out += ", " + std::to_string(dims_);
      out += ']';
    }
  } else if (args_) {
    out += '[';
    for (std::size_t i = 0; i < args_->size(); ++i) {
      if (i) out += ", ";
      out += (*args_)[i].to_text();
    }
    out += ']';
  }
  if (optional_) out += " | None";
  return out;
}

bool is_subtype(const Type& sub, const Type& super) {
  if (super.is(Kind::kAny)) return true;
  if (sub.is(Kind::kNone)) return super.admits_none();
  if (sub.optional() && !super.optional()) return false;
  if (sub.kind() == super.kind()) {
    if (sub.is(Kind::kTuple)) {
      if (sub.args().size() != super.args().size()) return false;
      for (std::size_t i = 0; i < sub.args().size(); ++i)
        if (!is_subtype(sub.args()[i], super.args()[i])) return false;
      return true;
    }
    if (sub.is(Kind::kList)) return is_subtype(sub.element(), super.element());
    if (sub.is(Kind::kArray)) {
      bool element = super.args()[0].is(Kind::kAny) || sub.args()[0] == super.args()[0];
      return element && (super.dims() < 0 || sub.dims() == super.dims());
    }
    return true;
  }
  if (sub.is(Kind::kInt) && super.is(Kind::kFloat)) return true;
  if (sub.is(Kind::kTuple) && super.is(Kind::kList))
    return std::ranges::all_of(sub.args(), [&](const Type& arg) { return is_subtype(arg, super.element()); });
  return false;
}

std::optional<Type> common_supertype(const Type& a, const Type& b) {
  if (a == b) return a;
  if (is_subtype(a, b)) return b;
  if (is_subtype(b, a)) return a;
  if (a.is(Kind::kNone)) return b.as_optional();
  if (b.is(Kind::kNone)) return a.as_optional();
  if (a.optional() || b.optional()) {
    auto inner = common_supertype(a.without_optional(), b.without_optional());
    return inner ? std::optional(inner->as_optional()) : std::nullopt;
  }
  bool sequences = (a.is(Kind::kTuple) || a.is(Kind::kList)) && (b.is(Kind::kTuple) || b.is(Kind::kList));
  if (a.is(Kind::kTuple) && b.is(Kind::kTuple) && a.args().size() == b.args().size()) {
    std::vector<Type> elements;
    for (std::size_t i = 0; i < a.args().size(); ++i) {
      auto element = common_supertype(a.args()[i], b.args()[i]);
      if (!element) return std::nullopt;
      elements.push_back(*element);
    }
    return Type::tuple(std::move(elements));
  }
  if (sequences) {
    auto element = common_supertype(a.element(), b.element());
    return element ? std::optional(Type::list(*element)) : std::nullopt;
  }
  if (a.is(Kind::kArray) && b.is(Kind::kArray)) {
    Kind element = a.args()[0] == b.args()[0] ? a.args()[0].kind() : Kind::kAny;
    return Type::array(element, a.dims() == b.dims() ? a.dims() : -1);
  }
  return std::nullopt;
}

// ---------------------------------------------------------------- spellings

namespace {

struct Spelling {
  std::string_view text;  // lower case, without prefixes and underscores
  Kind kind;
};
constexpr Spelling kSpellings[] = {
    {"none", Kind::kNone},
    {"null", Kind::kNone},
    {"nonetype", Kind::kNone},
    {"bool", Kind::kBool},
    {"boolean", Kind::kBool},
    {"int", Kind::kInt},
    {"integer", Kind::kInt},
    {"bigint", Kind::kInt},
    {"smallint", Kind::kInt},
    {"int2", Kind::kInt},
    {"int4", Kind::kInt},
    {"int8", Kind::kInt},
    {"int64", Kind::kInt},
    {"int32", Kind::kInt},
    {"float", Kind::kFloat},
    {"double", Kind::kFloat},
    {"real", Kind::kFloat},
    {"float4", Kind::kFloat},
    {"float8", Kind::kFloat},
    {"float64", Kind::kFloat},
    {"float32", Kind::kFloat},
    {"doubleprecision", Kind::kFloat},
    {"numeric", Kind::kFloat},
    {"decimal", Kind::kFloat},
    {"pointer", Kind::kPointer},
    {"str", Kind::kStr},
    {"string", Kind::kStr},
    {"text", Kind::kStr},
    {"varchar", Kind::kStr},
    {"bytes", Kind::kBytes},
    {"binary", Kind::kBytes},
    {"bytea", Kind::kBytes},
    {"tuple", Kind::kTuple},
    {"list", Kind::kList},
    {"array", Kind::kArray},
    {"ndarray", Kind::kArray},
    {"datetimenaive", Kind::kDateTimeNaive},
    {"datetime", Kind::kDateTimeNaive},
    {"timestamp", Kind::kDateTimeNaive},
    {"date", Kind::kDateTimeNaive},
    {"datetimeutc", Kind::kDateTimeUtc},
    {"timestamptz", Kind::kDateTimeUtc},
    {"duration", Kind::kDuration},
    {"interval", Kind::kDuration},
    {"timedelta", Kind::kDuration},
    {"time", Kind::kDuration},
    {"uuid", Kind::kUuid},
    {"json", Kind::kJson},
    {"jsonb", Kind::kJson},
    {"dict", Kind::kJson},
    {"any", Kind::kAny},
    {"object", Kind::kAny},
    {"pyobjectwrapper", Kind::kAny},
};

constexpr int kDepthMax = 32;

// Recursive descent over `A | B`, `name[args]`.
class TypeReader {
 public:
  explicit TypeReader(std::string_view text) : rest_(text) {}

  std::optional<Type> whole() {
    auto type = either(0);
    skip_blanks();
    return rest_.empty() ? type : std::nullopt;
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front()))) rest_.remove_prefix(1);
  }
  bool eat(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::optional<Type> either(int depth) {
    if (depth > kDepthMax) return std::nullopt;
    auto type = single(depth);
    while (type && eat('|')) {
      auto other = single(depth);
      if (!other) return std::nullopt;
      if (other->is(Kind::kNone))
        type = type->as_optional();
      else if (type->is(Kind::kNone))
        type = other->as_optional();
      else
        type = common_supertype(*type, *other);
    }
    return type;
  }

  std::string word() {
    skip_blanks();
    std::size_t n = 0;
    while (n < rest_.size() &&
           (std::isalnum(static_cast<unsigned char>(rest_[n])) || rest_[n] == '_' || rest_[n] == '.'))
      ++n;
    std::string_view name = rest_.substr(0, n);
    rest_.remove_prefix(n);
    if (auto dot = name.rfind('.'); dot != std::string_view::npos)
      name.remove_prefix(dot + 1);  // pw., np., dt., pw.Type.
    std::string plain;
    for (char c : name)
      if (c != '_') plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return plain;
  }

  std::optional<Type> single(int depth) {
    skip_blanks();
    if (!rest_.empty() && (rest_.front() == '\'' || rest_.front() == '"')) {  // quoted forward reference
      char quote = rest_.front();
      rest_.remove_prefix(1);
      auto type = either(depth + 1);
      return eat(quote) ? type : std::nullopt;
    }
    std::string name = word();
    auto type = named(name, depth);
    if (type && eat('?')) type = type->as_optional();
    return type;
  }

  std::optional<std::vector<Type>> arguments(int depth, bool& ellipsis) {
    std::vector<Type> args;
    if (!eat('[')) return args;
    do {
      skip_blanks();
      if (rest_.starts_with("...") || rest_.starts_with("…")) {
        rest_.remove_prefix(3);
        ellipsis = true;
        continue;
      }
      auto arg = either(depth + 1);
      if (!arg) return std::nullopt;
      args.push_back(*arg);
    } while (eat(','));
    if (!eat(']')) return std::nullopt;
    return args;
  }

  std::optional<Type> array_type() {
    if (!eat('[')) return Type::array();
    Kind element = Kind::kAny;
    int dims = -1;
    do {
      skip_blanks();
      if (!rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_.front()))) {
        dims = rest_.front() - '0';
        rest_.remove_prefix(1);
        continue;
      }
      auto arg = either(1);
      if (!arg) return std::nullopt;
      if (arg->is_number()) element = arg->kind();
    } while (eat(','));
    return eat(']') ? std::optional(Type::array(element, dims)) : std::nullopt;
  }

  std::optional<Type> named(const std::string& name, int depth) {
    if (name == "optional") {
      bool ellipsis = false;
      auto args = arguments(depth, ellipsis);
      return args && args->size() == 1 ? std::optional((*args)[0].as_optional()) : std::nullopt;
    }
    if (name == "union") {
      bool ellipsis = false;
      auto args = arguments(depth, ellipsis);
      if (!args || args->empty()) return std::nullopt;
      std::optional<Type> type = (*args)[0];
      for (std::size_t i = 1; type && i < args->size(); ++i) type = common_supertype(*type, (*args)[i]);
      return type;
    }
    if (name == "ndarray" || name == "array") return array_type();
    if (name == "floatarray") return Type::array(Kind::kFloat);
    if (name == "intarray") return Type::array(Kind::kInt);
    if (name == "ndarraytype") return Type::array();
    for (const Spelling& spelling : kSpellings) {
      if (spelling.text != name) continue;
      bool ellipsis = false;
      auto args = arguments(depth, ellipsis);
      if (!args) return std::nullopt;
      if (spelling.kind == Kind::kList) {
        if (args->size() > 1) return std::nullopt;
        return Type::list(args->empty() ? Type(Kind::kAny) : (*args)[0]);
      }
      if (spelling.kind == Kind::kTuple) {
        if (ellipsis && args->size() == 1) return Type::list((*args)[0]);
        if (args->empty()) return Type::list(Type(Kind::kAny));
        return Type::tuple(std::move(*args));
      }
      return Type(spelling.kind);
    }
    return std::nullopt;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<Type> type_from_text(std::string_view text) { return TypeReader(text).whole(); }

}  // namespace thalweg
