// pointer_from and hash.

#include <fmt/format.h>

#include "engine/expr/encoded.h"
#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"

namespace thalweg::expr {
namespace {

// Flags of a pointer_from call lie in its name, which is all that a call in a plan has: `pointer_from`,
// `pointer_from.instance` (the last argument is the instance).
template <bool kInstance>
Column make_pointer(const KernelCall& call) {
  Writer<Key> out(call);
  bool optional = call.result.optional();
  std::string bytes;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    bytes.clear();
    std::size_t last = 0;
    bool none = false;
    for (std::size_t k = 0; k < call.args.size(); ++k) {
      last = bytes.size();
      none = none || call.args[k].tag(i) == CellTag::kNone;
      encode_cell(call.arg_types[k], call.args[k], i, bytes);
    }
    if (optional && none) {
      out.none(i);
      continue;
    }
    Key key = key_of_bytes(bytes);
    out.set(i, kInstance ? with_instance(key, key_of_bytes(std::string_view(bytes).substr(last))) : key);
  }
  return out.finish();
}
template <bool kInstance>
const KernelInfo* choose_pointer(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = make_pointer<kInstance>, .sees_none = true};
  return &kernel;
}

Result<Typed> type_pointer(std::span<const Argument> args) {
  Typed typed{{}, Kind::kPointer, {}, {}};
  for (std::size_t i = 0; i < args.size(); ++i) {
    const Argument& arg = args[i];
    if (arg.name == "optional") {
      if (!arg.constant || arg.constant->tag() != Value::Tag::kBool)
        return fail(Code::kInvalidPipeline, "`optional` must be True or False");
      if (arg.constant->as_bool()) typed.result = Type(Kind::kPointer, true);
      continue;
    }
    if (arg.name == "instance") {
      if (arg.type.is(Kind::kNone)) continue;
      typed.function = "pointer_from.instance";
    }
    typed.params.push_back(arg.type);
    typed.keep.push_back(static_cast<int>(i));
  }
  return typed;
}

std::int64_t hash_of(std::string_view encoded) {
  // A positive number, so that `hash(x) % n` is what everyone expects.
  return static_cast<std::int64_t>(hash_of_key(key_of_bytes(encoded)) >> 1);
}
Column hash(const KernelCall& call) {
  Writer<std::int64_t> out(call);
  std::string bytes;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    bytes.clear();
    for (std::size_t k = 0; k < call.args.size(); ++k) encode_cell(call.arg_types[k], call.args[k], i, bytes);
    out.set(i, hash_of(bytes));
  }
  return out.finish();
}
const KernelInfo* choose_hash(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = hash, .sees_none = true};
  return &kernel;
}
Result<Typed> type_hash(std::span<const Argument> args) {
  Typed typed{{}, Kind::kInt, {}};
  for (const Argument& arg : args) typed.params.push_back(arg.type);
  return typed;
}

}  // namespace

std::span<const FunctionRow> key_functions() {
  static const std::vector<FunctionRow> rows = {
      {.name = "pointer_from",
       .signature = "pointer_from(value, ..., instance=None, optional=False) -> pointer",
       .doc =
           "The key of a row with these values as primary key. With an instance, rows of one instance stay together. "
           "With `optional=True` None if a value is None.",
       .example = "pointer_from(1, 'a') == pointer_from(1, 'a')",
       .example_result = "True",
       .params = {{"value", Kind::kAny, false},
                  {"instance", Kind::kNone, false, Value::none()},
                  {"optional", Kind::kBool, false, Value::of(false)}},
       .variadic = true,
       .typing = type_pointer,
       .choose = choose_pointer<false>},
      {.name = "pointer_from.instance",
       .signature = "pointer_from.instance(value, ..., instance) -> pointer",
       .doc = "pointer_from whose last argument is the instance.",
       .example = "pointer_from.instance(1, 'a') == pointer_from.instance(2, 'a')",
       .example_result = "False",
       .params = {{"value", Kind::kAny}},
       .variadic = true,
       .typing = type_pointer,
       .choose = choose_pointer<true>},
      {.name = "hash",
       .signature = "hash(x, ...) -> int",
       .doc = "A number that depends on nothing but its arguments; never negative.",
       .example = "hash('a') == hash('a')",
       .example_result = "True",
       .params = {{"x", Kind::kAny}},
       .variadic = true,
       .typing = type_hash,
       .choose = choose_hash},
  };
  return rows;
}

}  // namespace thalweg::expr
