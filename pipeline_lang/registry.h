// pipeline_lang/registry.h
//
// Every tag that exists, by every name it answers to. Built once per process from the rows in this folder and the
// catalog's.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/catalog.h"
#include "pipeline_lang/component.h"

namespace thalweg::lang {

class Registry {
 public:
  // `catalog` may be null; it must outlive the registry.
  explicit Registry(const Catalog* catalog);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // `tag` as written, without the `!`. `pw.`, `pathway.`, `stdlib.` prefixes and the peer's long paths are understood.
  [[nodiscard]] const Component* find(std::string_view tag) const;
  // Names for "did you mean": canonical ones and aliases.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  // In order of name within their kind.
  [[nodiscard]] std::vector<const Component*> all() const;
  [[nodiscard]] const Catalog* catalog() const { return catalog_; }

 private:
  void add(Component component);
  void add_connectors();
  void add_known();

  const Catalog* catalog_;
  std::deque<Component> components_;
  std::map<std::string, const Component*, std::less<>> by_name_;
  std::vector<std::string> names_;
};

// The part of a tag that says which component is meant: without `pw.`, `pathway.`, `stdlib.`, `debug.`, …
[[nodiscard]] std::string short_tag(std::string_view tag);

// The row of a connector (connector_components.cc).
[[nodiscard]] Component connector_component(const config::ConnectorSpec& connector);

// Arguments that every tag yielding a table takes beside its own.
[[nodiscard]] const std::vector<ArgSpec>& common_table_args();

}  // namespace thalweg::lang
