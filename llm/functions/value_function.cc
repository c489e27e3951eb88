#include "llm/functions/value_function.h"

namespace thalweg::llm {

namespace {

class ValueFunction final : public plan::UserFunction {
 public:
  ValueFunction(std::string text, Answer answer) : text_(std::move(text)), answer_(std::move(answer)) {}
  [[nodiscard]] const std::string& text() const override { return text_; }
  [[nodiscard]] bool deterministic() const override { return true; }
  [[nodiscard]] bool propagates_none() const override { return false; }
  [[nodiscard]] Column call(const plan::UserCall& call) const override {
    ColumnBuilder out(call.result, call.rows);
    std::vector<Value> args(call.args.size());
    for (std::size_t row = 0; row < call.rows; ++row) {
      if (call.skips(row)) {
        out.push_tagged(call.skip[row]);
        continue;
      }
      for (std::size_t i = 0; i < args.size(); ++i) args[i] = call.args[i].value(call.arg_types[i], row);
      auto answer = answer_(args);
      if (answer) {
        out.push_value(call.result, *answer);
      } else {
        call.fail(row, answer.error().message);
        out.push_error();
      }
    }
    return out.finish();
  }

 private:
  const std::string text_;
  const Answer answer_;
};

}  // namespace

plan::UserFunctionPtr value_function(std::string text, Answer answer) {
  return std::make_shared<const ValueFunction>(std::move(text), std::move(answer));
}

std::vector<Result<Value>> ask_all(const plan::UserFunction& function, std::span<const std::vector<Value>> rows,
                                   std::span<const Type> types, const Type& result) {
  std::vector<Column> columns;
  for (std::size_t i = 0; i < types.size(); ++i) {
    ColumnBuilder builder(types[i], rows.size());
    for (const std::vector<Value>& row : rows) builder.push_value(types[i], row[i]);
    columns.push_back(builder.finish());
  }
  std::vector<std::string> reasons(rows.size());
  const std::function<void(std::size_t, std::string_view)> fail_row = [&](std::size_t row, std::string_view why) {
    reasons[row] = why;
  };
  const plan::UserCall call{
      .args = columns, .arg_types = types, .result = result, .rows = rows.size(), .fail = fail_row};
  const Column answers = function.call(call);
  std::vector<Result<Value>> out;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (answers.tag(row) == CellTag::kError)
      out.push_back(fail(Code::kBadData, reasons[row].empty() ? "no answer" : reasons[row]));
    else
      out.emplace_back(answers.value(result, row));
  }
  return out;
}

Result<Value> ask(const plan::UserFunction& function, std::span<const Value> args, std::span<const Type> types,
                  const Type& result) {
  const std::vector<Value> row(args.begin(), args.end());
  return std::move(ask_all(function, {&row, 1}, types, result).front());
}

}  // namespace thalweg::llm
