// The `.str` methods with regular expressions (RE2's syntax): matches, extract, replace_re.
//
// A constant pattern is compiled once, and a bad one is an error before the run. Patterns out of a column are compiled
// as they come, the last one is kept.

#include <re2/re2.h>

#include <fmt/format.h>

#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"

namespace thalweg::expr {
namespace {

constexpr std::int64_t kPatternMemoryMax = 8 << 20;
constexpr int kGroupsMax = 100;

RE2::Options options() {
  RE2::Options o;
  o.set_log_errors(false);
  o.set_max_mem(kPatternMemoryMax);
  return o;
}

Result<std::shared_ptr<const void>> prepare_pattern(std::span<const Value* const> constants) {
  if (constants.size() < 2 || !constants[1] || constants[1]->tag() != Value::Tag::kStr) return nullptr;
  auto pattern = std::make_shared<const RE2>(constants[1]->as_text(), options());
  if (!pattern->ok())
    return fail(Code::kInvalidPipeline,
                fmt::format("bad regular expression '{}': {}", constants[1]->as_text(), pattern->error()));
  return pattern;
}

// The pattern for each row.
class Patterns {
 public:
  explicit Patterns(const KernelCall& call) : fixed_(static_cast<const RE2*>(call.prepared)), texts_(call.args[1]) {}
  // Null if it is no pattern; then error() says why.
  const RE2* at(std::size_t row) {
    if (fixed_) return fixed_;
    std::string_view text = texts_[row];
    if (!last_ || last_->pattern() != text)
      last_ = std::make_unique<RE2>(re2::StringPiece(text.data(), text.size()), options());
    return last_->ok() ? last_.get() : nullptr;
  }
  [[nodiscard]] std::string error() const { return fmt::format("bad regular expression: {}", last_->error()); }

 private:
  const RE2* fixed_;
  Reader<std::string_view> texts_;
  std::unique_ptr<RE2> last_;
};

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

Column matches(const KernelCall& call) {
  Writer<bool> out(call);
  Reader<std::string_view> texts(call.args[0]);
  Patterns patterns(call);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    if (const RE2* pattern = patterns.at(i))
      out.set(i, RE2::PartialMatch(piece(texts[i]), *pattern));
    else
      out.fail(i, patterns.error());
  }
  return out.finish();
}

Column extract(const KernelCall& call) {
  Writer<std::string_view> out(call);
  Reader<std::string_view> texts(call.args[0]);
  Patterns patterns(call);
  std::vector<re2::StringPiece> groups;
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    const RE2* pattern = patterns.at(i);
    if (!pattern) {
      out.fail(i, patterns.error());
      continue;
    }
    // Without a group: the first one, or the whole match of a pattern that has none.
    int count = std::min(pattern->NumberOfCapturingGroups(), kGroupsMax);
    bool given = call.args[2].phys() == Phys::kI64 && call.args[2].is_value(i);
    std::int64_t group = given ? call.args[2].i64()[i] : (count > 0 ? 1 : 0);
    if (group < 0 || group > count) {
      out.fail(i, fmt::format("the pattern has {} groups, not {}", count, group));
      continue;
    }
    groups.assign(static_cast<std::size_t>(count) + 1, {});
    re2::StringPiece text = piece(texts[i]);
    bool found = pattern->Match(text, 0, text.size(), RE2::UNANCHORED, groups.data(), count + 1);
    const re2::StringPiece& part = groups[static_cast<std::size_t>(group)];
    if (found && part.data() != nullptr)
      out.set_part(i, {part.data(), part.size()});
    else
      out.none(i);
  }
  return out.finish();
}

Column replace_re(const KernelCall& call) {
  Writer<std::string_view> out(call);
  Reader<std::string_view> texts(call.args[0]);
  Reader<std::string_view> with(call.args[2]);
  Patterns patterns(call);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (out.skips(i)) continue;
    const RE2* pattern = patterns.at(i);
    std::string error;
    if (!pattern) {
      out.fail(i, patterns.error());
    } else if (!pattern->CheckRewriteString(piece(with[i]), &error)) {
      out.fail(i, error);
    } else {
      std::string text(texts[i]);
      RE2::GlobalReplace(&text, *pattern, piece(with[i]));
      out.set_text(i, text);
    }
  }
  return out.finish();
}

Result<std::shared_ptr<const void>> prepare_replace(std::span<const Value* const> constants) {
  auto pattern = TRY(prepare_pattern(constants));
  std::string error;
  bool checkable = pattern && constants.size() == 3 && constants[2] && constants[2]->tag() == Value::Tag::kStr;
  if (checkable && !static_cast<const RE2*>(pattern.get())->CheckRewriteString(constants[2]->as_text(), &error))
    return fail(Code::kInvalidPipeline, fmt::format("bad replacement '{}': {}", constants[2]->as_text(), error));
  return pattern;
}

}  // namespace

std::span<const FunctionRow> regex_functions() {
  const Type str = Kind::kStr;
  static const std::vector<FunctionRow> rows = {
      {.name = "str.matches",
       .signature = "x.str.matches(pattern) -> bool",
       .doc = "Whether the regular expression is found in x; `^` and `$` bind it to the ends.",
       .example = R"('order 17'.str.matches('[0-9]+$'))",
       .example_result = "True",
       .is_method = true,
       .overloads = {{{{"x", str}, {"pattern", str}}, Kind::kBool, {.kernel = matches, .prepare = prepare_pattern}}}},
      {.name = "str.extract",
       .signature = "x.str.extract(pattern, group=None) -> str | None",
       .doc =
           "What a group of the regular expression matches (0 is the whole match; by default the first group, if there "
           "is one), or None.",
       .example = R"('order 17 of 20'.str.extract('([0-9]+) of ([0-9]+)', 2))",
       .example_result = "20",
       .is_method = true,
       .overloads = {{{{"x", str}, {"pattern", str}, {"group", Type(Kind::kInt, true), false, Value::none()}},
                      Type(Kind::kStr, true),
                      {.kernel = extract, .sees_none = true, .prepare = prepare_pattern}}}},
      {.name = "str.replace_re",
       .signature = "x.str.replace_re(pattern, with) -> str",
       .doc = R"(Every match replaced; `\1` in the replacement is what the first group matched.)",
       .example = R"('a1b22'.str.replace_re('[0-9]+', '#'))",
       .example_result = "a#b#",
       .is_method = true,
       .overloads = {{{{"x", str}, {"pattern", str}, {"with", str}},
                      str,
                      {.kernel = replace_re, .prepare = prepare_replace}}}},
  };
  return rows;
}

}  // namespace thalweg::expr
