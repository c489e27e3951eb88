// Any text is an expression or an error; what is an expression compiles and runs over rows with every kind of cell.
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/expr/program.h"
#include "pipeline_lang/expr_check.h"

namespace {

using namespace thalweg;

const Schema& schema() {
  static const Schema kSchema{{{"i", Kind::kInt},
                               {"n", Type(Kind::kInt, true)},
                               {"f", Kind::kFloat},
                               {"s", Kind::kStr},
                               {"b", Kind::kBool},
                               {"j", Kind::kJson},
                               {"t", Kind::kDateTimeUtc},
                               {"d", Kind::kDuration},
                               {"l", Type::list(Kind::kInt)},
                               {"p", Kind::kPointer}}};
  return kSchema;
}

const Batch& rows() {
  static const Batch kBatch = [] {
    BatchBuilder builder(schema());
    const std::vector<Value> row = {Value::of(std::int64_t{7}),
                                    Value::none(),
                                    Value::of(1.5),
                                    Value::str("text"),
                                    Value::of(true),
                                    Value::json("{\"a\":[1,null]}"),
                                    Value::datetime_utc(1'700'000'000'000'000'000),
                                    Value::duration(3'600'000'000'000),
                                    Value::tuple({Value::of(std::int64_t{1})}),
                                    Value::of(Key{1, 2})};
    builder.push(Key{1, 1}, row);
    std::vector<Value> broken(row.size(), Value::error());
    builder.push(Key{1, 2}, broken);
    return builder.finish();
  }();
  return kBatch;
}

class Quiet : public expr::RowErrors {
 public:
  void report(std::size_t, SourceSpan, std::string_view) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  lang::ExprInput input;
  input.text.assign(reinterpret_cast<const char*>(data), size);
  auto checked = lang::check_expression(input, lang::NameScope::of_table(schema()));
  if (!checked) return 0;
  auto program = expr::Program::compile({*checked});
  if (!program) return 0;
  Quiet quiet;
  if ((*program)->run(rows(), quiet).size() != 1) __builtin_trap();
  return 0;
}
