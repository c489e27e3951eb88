// llm/local/model_files.h
//
// Where models are: a folder by name, as `huggingface-cli download` or a copy leaves it. Nothing is ever fetched.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::llm {

// The whole of a small file.
[[nodiscard]] Result<std::string> read_model_file(const std::string& path);

// Folders that models are looked for in: `given` alone; else the variable THALWEG_MODELS_DIR, /var/lib/thalweg/models,
// and the cache of Hugging Face (HF_HOME, ~/.cache/huggingface).
[[nodiscard]] std::vector<std::string> models_dirs(const std::string& given);

// The folder of the model `name` (`all-MiniLM-L6-v2`, `org/name`, or a path that begins with `/` or `.`). An error says
// what to put where.
[[nodiscard]] Result<std::string> find_model(const std::string& name, const std::string& given_dir);

}  // namespace thalweg::llm
