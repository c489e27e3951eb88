// pipeline_lang/yaml_reader.h
//
// YAML text to tree. The only file that knows yaml-cpp, which is used through its events and not trusted: duplicate
// keys, unterminated quotes, further documents, tags on keys and self-containing anchors are errors here, and every
// node has its place. Any bytes are accepted as input: the answer is a tree or errors, never a crash.
#pragma once

#include "engine/base/file_table.h"
#include "engine/base/result.h"
#include "pipeline_lang/ast.h"
#include "pipeline_lang/diagnostics.h"

namespace thalweg {

inline constexpr std::size_t kYamlBytesMax = std::size_t{8} << 20;
inline constexpr std::size_t kYamlDepthMax = 200;
inline constexpr std::uint64_t kYamlNodesMax = 1'000'000;  // with aliases written out

// Null after an error that ends reading; errors that do not (a duplicate key, an alias inside its own value) are
// reported and the tree is complete. An empty text is an empty mapping.
[[nodiscard]] ast::NodePtr read_yaml(const FileTable& files, FileId file, lang::Diagnostics& diagnostics);

}  // namespace thalweg
