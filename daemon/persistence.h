// daemon/persistence.h
//
// What a pipeline file says of durability, as what a run is told: `persistence_config`, `visibility`, `delivery`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connectors/functions/answer_store.h"
#include "engine/io/sink.h"
#include "engine/plan/node.h"
#include "engine/runtime/run.h"
#include "pipeline_lang/compile.h"

namespace thalweg::daemon {

struct PersistencePlace {
  std::string pipeline;      // its name: a folder of its own within the one that the file names
  std::string state_dir;     // where state goes if the file names no place; empty: then that is an error
  const Env* env = nullptr;  // for keys of object stores; null: that of the process
};

// The pipeline's name as that of a folder.
[[nodiscard]] std::string folder_name(const std::string& pipeline);

// State of this kind is a recording: the log of all input, for replays.
void make_recording(DurabilityOptions& options);

// Nothing: the pipeline keeps no state. Errors have spans.
[[nodiscard]] Result<std::optional<DurabilityOptions>> durability_of(const lang::PipelineSettings& settings,
                                                                     const PersistencePlace& place);

// What becomes of a row on its way to an output, if the process ends at any moment.
struct OutputGuarantee {
  std::string name;
  std::string connector;
  Delivery delivery = Delivery::kAtLeastOnce;
  std::string because;  // the link that gives no more; empty: exactly once
  SourceSpan span;
};
[[nodiscard]] std::vector<OutputGuarantee> guarantees_of(const plan::Plan& plan, bool keeps_state);
[[nodiscard]] std::string_view delivery_text(Delivery delivery);
// `delivery: exactly_once` is refused where a link cannot give it.
[[nodiscard]] Result<void> check_delivery(const lang::PipelineSettings& settings, const plan::Plan& plan,
                                          bool keeps_state);
// Where answers of functions outside are kept: beside the state, also where answers are all that is kept
// (`persistence_mode: UDF_CACHING`, `with_cache: true`). Nothing where the state is no folder of this machine.
void keep_answers(functions::NewAnswerPlaces& places, const lang::PipelineSettings& settings,
                  const PersistencePlace& place);
// All of it, into the diagnostics of a pipeline that is valid so far.
std::optional<DurabilityOptions> check_persistence(lang::CompileResult& compiled, const PersistencePlace& place);

}  // namespace thalweg::daemon
