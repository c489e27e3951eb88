// llm/functions/operators.h
//
// What is asked of a chat model about the rows of any table.
//
//   llm.op.complete(prompt)     text
//   llm.op.extract(text)        a JSON object with the fields of option `fields`, each of its type
//   llm.op.classify(text)       one of option `labels`
//   llm.op.cited(answer, docs)  {"answer", "citations": [documents]}: the sources that an answer names as [1], [2]
//   llm.op.parsed(answer)       the JSON in an answer, out of Markdown fences
//
// O1  An answer that does not fit is told what is wrong with it and asked for again, once; then the row is an ERROR.
// O2  Texts of a table are quoted material, as JSON between marks: nothing in them is an instruction.
#pragma once

#include "llm/functions/functions.h"

namespace thalweg::llm {

[[nodiscard]] std::expected<plan::UserFunctionPtr, plan::FunctionError> make_operator(const plan::FunctionSpec& spec,
                                                                                      std::string text);

}  // namespace thalweg::llm
