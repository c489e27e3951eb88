#include "llm/functions/functions.h"

#include "connectors/functions/functions.h"
#include "connectors/setting_reader.h"
#include "llm/functions/documents.h"
#include "llm/functions/operators.h"
#include "llm/functions/rag.h"
#include "llm/functions/text_functions.h"
#include "llm/functions/value_function.h"
#include "llm/functions/wrong.h"
#include "llm/local/local_models.h"
#include "llm/providers/remote_models.h"

namespace thalweg::llm {

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_function(
    const plan::FunctionSpec& spec, std::shared_ptr<const net::AddressPolicy> egress) {
  std::string text = function_text(spec);
  const auto is = [&](std::string_view prefix) { return spec.kind.starts_with(prefix); };
  if (is("llm.parser.")) return make_parser(spec, std::move(text));
  if (is("llm.splitter.")) return make_splitter(spec, std::move(text));
  if (is("llm.chat.")) return make_chat(spec, std::move(text), std::move(egress));
  if (is("llm.embedder.")) return make_embedder(spec, std::move(text), std::move(egress));
  if (is("llm.local.")) return make_local_model(spec, std::move(text));
  if (is("llm.reranker.")) return make_reranker(spec, std::move(text), std::move(egress));
  if (is("llm.op.")) return make_operator(spec, std::move(text));
  if (is("llm.rag.")) return make_rag_function(spec, std::move(text));
  if (is("llm.missing.")) {
    const std::string why = SettingReader(spec.options).text("why");
    return value_function(std::move(text),
                          [why](std::span<const Value>) -> Result<Value> { return fail(Code::kUnavailable, why); });
  }
  if (auto small = make_document_function(spec, text)) return small;
  return wrong("`" + spec.kind + "` is not built into this version");
}

}  // namespace thalweg::llm
