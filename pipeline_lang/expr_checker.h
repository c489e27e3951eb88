// pipeline_lang/expr_checker.h
//
// The checker behind expr_check.h: one per expression. Names are in expr_checker.cc, operators in expr_operators.cc,
// calls in expr_calls.cc.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/expr_check.h"
#include "pipeline_lang/expr_syntax.h"
#include "pipeline_lang/scalar_map.h"

namespace thalweg::lang {

// What is known not to be None: texts of expressions (plan::to_text).
using Facts = std::set<std::string>;
[[nodiscard]] Facts facts_where(const plan::Expr& condition, bool holds);

class Checker {
 public:
  Checker(const ExprInput& input, const NameScope& scope)
      : input_(input), scope_(scope), map_(input.text, input.span, input.files) {}
  virtual ~Checker() = default;
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  // Parses and checks the whole input.
  [[nodiscard]] Result<plan::ExprPtr> run();
  [[nodiscard]] Result<plan::ExprPtr> check(const Syntax& syntax);
  [[nodiscard]] Result<SyntaxPtr> parse();

  [[nodiscard]] SourceSpan span(const Syntax& syntax) const { return map_.at(syntax.begin, syntax.end); }
  [[nodiscard]] std::string source(const Syntax& syntax) const;  // shortened where it is long
  [[nodiscard]] std::unexpected<Error> error(const Syntax& syntax, std::string message, std::string hint = {}) const;
  [[nodiscard]] const ExprInput& input() const { return input_; }
  [[nodiscard]] const NameScope& scope() const { return scope_; }

 protected:
  // `$fn`, the first argument of `form`.
  [[nodiscard]] Result<std::shared_ptr<const FunctionObject>> called_function(const Syntax& call,
                                                                              std::string_view form) const;
  // The call of a user's function over these arguments, whose names are empty or one each.
  [[nodiscard]] Result<plan::ExprPtr> call_function(const FunctionObject& function, std::vector<plan::ExprPtr> args,
                                                    const std::vector<std::string>& names, const Syntax& call) const;

  // A call of a name that is no function: reducers, where they are allowed. Nothing: not mine.
  [[nodiscard]] virtual std::optional<Result<plan::ExprPtr>> other_call(const std::string& name, const Syntax& call);
  // More about a name that is unknown here.
  [[nodiscard]] virtual std::optional<Error> explain_unknown(std::string_view name, SourceSpan at) const;

 private:
  using Checked = Result<plan::ExprPtr>;
  struct Argument {
    plan::ExprPtr expr;
    std::string name;
  };

  // names
  [[nodiscard]] Checked name(const Syntax& syntax);
  [[nodiscard]] Checked bare_name(const std::string& name, const Syntax& syntax);
  [[nodiscard]] Checked side_name(const NameScope::Side& side, const std::string& name, const Syntax& syntax);
  [[nodiscard]] Checked variable(const Syntax& syntax);
  [[nodiscard]] Checked member(const Syntax& syntax);
  [[nodiscard]] const NameScope::Side* side_of(const Syntax& syntax) const;
  [[nodiscard]] std::string qualifier_text(const Syntax& syntax) const;
  [[nodiscard]] plan::ExprPtr narrowed(const NameScope::Name& name, const NameScope::Side* side, SourceSpan at) const;
  [[nodiscard]] std::vector<std::string> known_names() const;
  [[nodiscard]] bool is_column(std::string_view name) const;

  // operators
  [[nodiscard]] Checked unary(const Syntax& syntax);
  [[nodiscard]] Checked binary(const Syntax& syntax);
  [[nodiscard]] Checked logic(const Syntax& syntax, bool conjunction);
  [[nodiscard]] Checked compare(const Syntax& syntax);
  [[nodiscard]] Checked contains(const Syntax& syntax);
  [[nodiscard]] Checked if_else(const Syntax& at, const Syntax& condition, const Syntax& then, const Syntax& otherwise);
  [[nodiscard]] Checked index(const Syntax& syntax);
  [[nodiscard]] Checked sequence(const Syntax& syntax);
  [[nodiscard]] Checked object(const Syntax& syntax);
  [[nodiscard]] Checked json_value(const Syntax& syntax);
  [[nodiscard]] Checked none_test(plan::ExprPtr operand, bool negated, const Syntax& syntax);
  [[nodiscard]] Result<void> refuse_none(const plan::Expr& operand, const Syntax& syntax, std::string_view op) const;
  [[nodiscard]] Result<void> comparable(const Type& left, const Type& right, const Syntax& syntax) const;

  // calls
  [[nodiscard]] Checked call(const Syntax& syntax);
  [[nodiscard]] Checked named_call(const std::string& name, const Syntax* receiver, const Syntax& syntax);
  [[nodiscard]] Checked typed_call(const std::string& name, const Syntax* receiver, const Syntax& syntax);
  [[nodiscard]] Checked user_call(const Syntax& syntax);
  [[nodiscard]] Checked require(const Syntax& syntax);
  [[nodiscard]] Checked unknown_function(const std::string& name, bool method, const Syntax& syntax) const;
  [[nodiscard]] Result<std::vector<Argument>> arguments(const Syntax* receiver, const Syntax& call);
  [[nodiscard]] Checked apply(const std::string& function, std::vector<Argument> args, const Syntax& syntax) const;
  [[nodiscard]] Checked checked_with(const Syntax& syntax, const Facts& facts);

  const ExprInput& input_;
  const NameScope& scope_;
  ScalarMap map_;
  Facts facts_;
};

// `pw.reducers.sum` → `reducers.sum`; the dotted path of names, or empty if it is none.
[[nodiscard]] std::string dotted_path(const Syntax& syntax);
[[nodiscard]] std::string without_package(std::string path);

}  // namespace thalweg::lang
