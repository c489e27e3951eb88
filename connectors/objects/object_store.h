// connectors/objects/object_store.h
//
// A bucket or container of objects, whoever keeps it. What holds for all of them:
//
// O1  An object is there with all of its content or not at all; whoever asks after a write was acknowledged sees it,
//     in lists too.
// O2  A write with a condition is done by one of several writers at most.
// O3  Requests that fail for reasons that pass are repeated with pauses that grow; kUnavailable says that it was in
// vain. Threads  any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::objects {

struct ObjectInfo {
  std::string key;
  std::uint64_t size = 0;
  std::string etag;  // changes with the content
  std::int64_t modified_ns = 0;
  std::string owner;  // empty: not told
};

struct ListPage {
  std::vector<ObjectInfo> objects;    // by key
  std::vector<std::string> prefixes;  // with `by_folder`: what is below, as `prefix/name/`
  std::string next;                   // of the next page; empty: this is the last one
};

struct Condition {
  enum class Kind : std::uint8_t { kNone, kAbsent, kUnchanged } kind = Kind::kNone;
  std::string etag;  // kUnchanged

  [[nodiscard]] static Condition none() { return {}; }
  [[nodiscard]] static Condition absent() { return {Kind::kAbsent, {}}; }
  [[nodiscard]] static Condition unchanged(std::string etag) { return {Kind::kUnchanged, std::move(etag)}; }
};

struct Written {
  bool done = false;  // false: the condition did not hold
  std::string etag;
};

// An object in parts. It is there once finish() says so; what was uploaded before is thrown away without it.
class Upload {
 public:
  virtual ~Upload() = default;
  // All parts but the last one are at least kPartBytesMin long.
  virtual Result<void> add(std::string bytes) = 0;
  virtual Result<Written> finish() = 0;
  static constexpr std::size_t kPartBytesMin = 8U << 20;
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  // `by_folder`: names up to the next `/` after the prefix count as one.
  virtual Result<ListPage> list(const std::string& prefix, bool by_folder, const std::string& page) = 0;
  virtual Result<ObjectInfo> head(const std::string& key) = 0;
  // `bytes` from `offset`, fewer at the end. With an etag: kUnavailable if the object is another one by now.
  virtual Result<std::string> get(const std::string& key, std::uint64_t offset, std::uint64_t bytes,
                                  const std::string& etag) = 0;
  virtual Result<Written> put(const std::string& key, const std::string& bytes, const Condition& condition) = 0;
  virtual Result<void> remove(const std::string& key) = 0;  // also of what is not there
  virtual Result<std::unique_ptr<Upload>> upload(const std::string& key) = 0;
  // For messages: `s3://bucket`.
  [[nodiscard]] virtual std::string name() const = 0;
};

// All pages of it; kTooLarge beyond `objects_max`.
[[nodiscard]] Result<std::vector<ObjectInfo>> list_all(ObjectStore& store, const std::string& prefix,
                                                       std::size_t objects_max);

}  // namespace thalweg::objects
