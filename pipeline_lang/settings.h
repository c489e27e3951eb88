// pipeline_lang/settings.h
//
// The plain top-level keys that configure a run (language.md 8), as one table of options.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline_lang/compile.h"
#include "pipeline_lang/evaluate.h"

namespace thalweg::lang {

[[nodiscard]] bool is_setting_name(std::string_view name);
[[nodiscard]] const std::vector<config::OptionSpec>& setting_specs();

class SettingsReader {
 public:
  SettingsReader(Evaluator& evaluator, PipelineSettings& into) : evaluator_(evaluator), into_(into) {}

  // The setting of one top-level key. A component under a setting's name (`question_answerer:`) is returned: it is
  // served.
  std::optional<Served> read(const ast::Entry& entry, Scope& scope);
  // What its build function made tables of; served when all of the file is known.
  [[nodiscard]] const std::vector<std::pair<const ast::Entry*, ObjectPtr>>& components() const { return components_; }
  void take(const std::string& name, Setting value, SourceSpan at);

 private:
  Evaluator& evaluator_;
  PipelineSettings& into_;
  std::vector<std::pair<const ast::Entry*, ObjectPtr>> components_;
};

}  // namespace thalweg::lang
