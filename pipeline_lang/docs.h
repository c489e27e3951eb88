// pipeline_lang/docs.h
//
// What users read about the language, printed from the same rows that check their files: `thalweg list`,
// `thalweg docs TAG`, `thalweg json-schema`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "pipeline_lang/registry.h"

namespace thalweg::lang {

// What `list` can be asked for: `tags`, `connectors`, `tables`, `functions`, `reducers`, `settings`, `types`, ….
[[nodiscard]] std::vector<std::string> list_topics();
// One line per entry: name, and the first sentence about it. An empty topic lists all tags. An unknown one is an error
// with the nearest.
[[nodiscard]] Result<std::string> list_text(const Registry& registry, std::string_view topic);
// Everything about one tag, function, reducer or setting; Markdown.
[[nodiscard]] Result<std::string> docs_text(const Registry& registry, std::string_view name);
// JSON Schema (draft 07) of pipeline files for editors: settings by type, and a definition per tag.
[[nodiscard]] std::string json_schema(const Registry& registry);

}  // namespace thalweg::lang
