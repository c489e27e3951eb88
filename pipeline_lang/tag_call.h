// pipeline_lang/tag_call.h
//
// The arguments of one tag: checked against the component's row when the call is made, read when asked for.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "pipeline_lang/evaluate.h"

namespace thalweg::lang {

class TagCall : public Call, public std::enable_shared_from_this<TagCall> {
 public:
  struct Argument {
    const ArgSpec* spec = nullptr;  // null: of an open component
    std::string written;            // the name in the file
    SourceSpan name_span;
    Located value;
    mutable bool asked = false;
  };

  TagCall(Evaluator& evaluator, const Component& component, SourceSpan span, std::string label, Scope* scope)
      : evaluator_(evaluator), component_(component), span_(span), label_(std::move(label)), scope_(scope) {}

  // Sorts the entries of the tag's mapping into arguments and reports what does not belong there.
  void take_arguments(const ast::Node& mapping, Scope* scope);
  void take_argument(const std::string& name, SourceSpan name_span, Located value);
  void check_required();
  // Reports a scalar that is not what the argument takes; for arguments that nobody reads as their kind.
  void check_value(const Argument& argument) const;

  [[nodiscard]] const Component& component() const override { return component_; }
  [[nodiscard]] SourceSpan span() const override { return span_; }
  [[nodiscard]] const std::string& label() const override { return label_; }
  [[nodiscard]] bool has(std::string_view name) const override;
  [[nodiscard]] SourceSpan span_of(std::string_view name) const override;
  [[nodiscard]] Located at(std::string_view name) const override;
  [[nodiscard]] std::vector<NamedNode> others() const override;
  [[nodiscard]] ObjectPtr object(std::string_view name) const override;
  [[nodiscard]] std::optional<Table> table(std::string_view name) const override;
  [[nodiscard]] std::optional<std::vector<Table>> tables(std::string_view name) const override;
  [[nodiscard]] std::optional<std::vector<std::pair<Named, Table>>> table_map(std::string_view name) const override;
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const override;
  [[nodiscard]] std::optional<std::string> choice(std::string_view name) const override;
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name) const override;
  [[nodiscard]] std::optional<double> number(std::string_view name) const override;
  [[nodiscard]] std::optional<bool> boolean(std::string_view name) const override;
  [[nodiscard]] std::optional<std::int64_t> duration(std::string_view name) const override;
  [[nodiscard]] std::optional<Value> duration_or_number(std::string_view name) const override;
  [[nodiscard]] std::optional<Type> type(std::string_view name) const override;
  [[nodiscard]] std::optional<std::vector<std::pair<Named, Type>>> type_map(std::string_view name) const override;
  [[nodiscard]] std::optional<std::vector<Named>> names(std::string_view name) const override;
  [[nodiscard]] const SchemaObject* schema(std::string_view name) const override;
  [[nodiscard]] const Instance* instance(std::string_view name) const override;
  [[nodiscard]] std::optional<Setting> setting(std::string_view name) const override;
  [[nodiscard]] std::optional<std::vector<NamedNode>> expressions(std::string_view name) const override;

  [[nodiscard]] const std::vector<Argument>& arguments() const { return arguments_; }
  [[nodiscard]] Scope* scope() const { return scope_; }
  [[nodiscard]] bool failed() const { return failed_; }
  void set_failed() { failed_ = true; }

 private:
  [[nodiscard]] const Argument* find(std::string_view name) const;
  [[nodiscard]] const ArgSpec* spec_of(std::string_view name) const;
  // The scalar behind an argument; nothing if it is not given, null, no scalar (reported) or wrong already.
  [[nodiscard]] ObjectPtr scalar_object(std::string_view name, std::string_view expected) const;
  void wrong(std::string_view name, std::string_view expected, const Object& found) const;
  // One column name out of an item: `c`, `this.c`, `$t.c`.
  [[nodiscard]] std::optional<Named> column_name(Located item) const;

  Evaluator& evaluator_;
  const Component& component_;
  const SourceSpan span_;
  const std::string label_;
  Scope* scope_;
  std::vector<Argument> arguments_;
  bool failed_ = false;
  mutable ObjectPtr untagged_schema_;
};

}  // namespace thalweg::lang
