// pipeline_lang/ast.h
//
// The tree of a YAML text: what it says and where. No meaning yet: tags are texts, `$x` is a plain scalar.
// Aliases share their node, so a tree may be a graph without cycles; its expanded size is bounded (yaml_reader.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/source_span.h"

namespace thalweg::ast {

enum class NodeKind : std::uint8_t { kScalar, kSequence, kMapping };

struct Node;
using NodePtr = std::shared_ptr<const Node>;

// One key of a mapping. Keys are always text (`on:` is `on`, `1:` is `1`).
struct Entry {
  std::string key;
  bool quoted = false;  // a quoted "$x" is text, not a variable
  SourceSpan span;      // of the key
  NodePtr value;        // never null
  // `$name:` defines a variable; the name is key without the dollar.
  [[nodiscard]] bool is_definition() const { return !quoted && key.size() > 1 && key[0] == '$'; }
};

struct Node {
  NodeKind kind = NodeKind::kScalar;
  bool quoted = false;    // scalar in quotes or in block style: always text
  bool verbatim = false;  // scalar whose text is exactly the bytes at `text_begin`: offsets into it are exact
  std::uint32_t text_begin = 0;
  std::uint64_t expanded = 1;  // nodes of this subtree with aliases written out
  std::string tag;             // `pw.io.csv.read`, without the `!`; empty if none
  SourceSpan tag_span;
  SourceSpan span;  // of the value without its tag; of an empty scalar the place where it would stand
  std::string text;
  std::vector<NodePtr> items;
  std::vector<Entry> entries;  // in file order, keys unique, merge keys resolved

  [[nodiscard]] bool is_scalar() const { return kind == NodeKind::kScalar; }
  [[nodiscard]] bool is_sequence() const { return kind == NodeKind::kSequence; }
  [[nodiscard]] bool is_mapping() const { return kind == NodeKind::kMapping; }
  [[nodiscard]] bool is_plain() const { return is_scalar() && !quoted && tag.empty(); }
  // Nothing written, `~` or `null`.
  [[nodiscard]] bool is_null() const {
    return is_plain() && (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL");
  }
  // Exactly `$identifier`.
  [[nodiscard]] bool is_reference() const;
  [[nodiscard]] const Entry* find(std::string_view key) const {
    for (const Entry& entry : entries)
      if (entry.key == key) return &entry;
    return nullptr;
  }
  // The whole node with its tag.
  [[nodiscard]] SourceSpan whole_span() const {
    if (!tag_span.known()) return span;
    return {span.file, tag_span.begin, span.end > tag_span.end ? span.end : tag_span.end};
  }
  // Bytes [begin, end) of `text` as a place in the file; the whole scalar where that cannot be told.
  [[nodiscard]] SourceSpan sub_span(std::size_t begin, std::size_t end) const;
};

// Python's identifiers, ASCII and any non-ASCII letter.
[[nodiscard]] bool is_identifier(std::string_view text);

}  // namespace thalweg::ast
