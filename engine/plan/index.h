// engine/plan/index.h
//
// An index over the rows of a table that queries of another table search: by words, by vectors, or otherwise. The
// engine keeps one in step with its table; what kinds there are lives outside and comes in through the catalogue.
//
// I1  A slot names one row from add to remove, and is used again. Slots are small numbers.
// I2  What a search finds depends on the rows that are in the index, not on the way they came in. Equal scores are in
//     the order of row keys.
// I3  Checking a pipeline starts nothing outside this process.
// Threads  an index belongs to one worker.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/setting.h"
#include "engine/plan/user_function.h"
#include "engine/types/column.h"
#include "engine/types/key.h"
#include "engine/types/type.h"

namespace thalweg::plan {

// One cell of a column: neither None nor ERROR.
struct IndexCell {
  const Type* type = nullptr;
  const Column* column = nullptr;
  std::size_t row = 0;
};

struct IndexHit {
  std::uint32_t slot = 0;
  double score = 0;  // higher is nearer
};

// What a search may find, and the order of equals.
class IndexScope {
 public:
  virtual ~IndexScope() = default;
  // May cost: to be asked of what would be an answer, and of nothing else.
  [[nodiscard]] virtual bool admits(std::uint32_t slot) const = 0;
  [[nodiscard]] virtual const Key& key(std::uint32_t slot) const = 0;
};

class Index {
 public:
  virtual ~Index() = default;
  // `cells`: one per part of the factory. An error: this row is not in the index.
  virtual Result<void> add(std::uint32_t slot, std::span<const IndexCell> cells) = 0;
  virtual void remove(std::uint32_t slot) = 0;
  // The best `limit` rows, best first.
  [[nodiscard]] virtual Result<std::vector<IndexHit>> search(std::span<const IndexCell> query, std::size_t limit,
                                                             const IndexScope& scope) = 0;
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;
  // What add() made of a row, as bytes, and the same row again from them, in an index of the same factory.
  [[nodiscard]] virtual std::string save(std::uint32_t slot) const = 0;
  virtual Result<void> restore(std::uint32_t slot, std::string_view saved) = 0;
};

// A condition on the metadata of rows.
class IndexFilter {
 public:
  virtual ~IndexFilter() = default;
  // An error if it is no condition for this row.
  [[nodiscard]] virtual Result<bool> admits(std::string_view metadata_json) const = 0;
};

// What a cell goes through before it is indexed or searched for: a text becomes a vector. Null: nothing.
struct IndexPart {
  UserFunctionPtr embed;
  Type embedded;  // its result
};

class IndexFactory {
 public:
  virtual ~IndexFactory() = default;
  // For plans and messages: what it is and a hash of its settings. Indexes of one text are one index.
  [[nodiscard]] virtual const std::string& text() const = 0;
  [[nodiscard]] virtual const std::vector<IndexPart>& parts() const = 0;
  // What is wrong with a column of this type for part `part`, after embedding; empty: nothing.
  [[nodiscard]] virtual std::string objection(std::size_t part, const Type& type) const = 0;
  [[nodiscard]] virtual std::unique_ptr<Index> make() const = 0;
  [[nodiscard]] virtual Result<std::shared_ptr<const IndexFilter>> filter(const std::string& text) const = 0;
};
using IndexFactoryPtr = std::shared_ptr<const IndexFactory>;

// What a pipeline says of an index.
struct IndexSpec {
  std::string kind;  // `bm25`, `knn`, `hybrid`, `all`
  Setting options;
  UserFunctionPtr embed;
  Type embedded;
  std::vector<IndexSpec> parts;  // of a hybrid
};

}  // namespace thalweg::plan
