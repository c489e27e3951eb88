// tests/connectors/memory_store.h
//
// Objects in memory, and a store that fails at the k-th call: before it did what was asked, or after.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "connectors/objects/object_store.h"

namespace thalweg::objects {

class MemoryStore final : public ObjectStore {
 public:
  Result<ListPage> list(const std::string& prefix, bool by_folder, const std::string& page) override;
  Result<ObjectInfo> head(const std::string& key) override;
  Result<std::string> get(const std::string& key, std::uint64_t offset, std::uint64_t bytes,
                          const std::string& etag) override;
  Result<Written> put(const std::string& key, const std::string& bytes, const Condition& condition) override;
  Result<void> remove(const std::string& key) override;
  Result<std::unique_ptr<Upload>> upload(const std::string& key) override;
  [[nodiscard]] std::string name() const override { return "memory://store"; }

  // From that call (from 1) on everything fails; the call itself may have been done.
  void die_at_call(std::uint64_t number, bool done);
  void live();
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  bool keeps_conditions = true;
  std::size_t page_size = 3;

 private:
  class MemoryUpload;
  struct Object {
    std::string content, etag;
  };
  // Requires: mutex_ is held. True: it does not happen.
  bool dies();
  std::mutex mutex_;
  std::map<std::string, Object> objects_;
  std::uint64_t versions_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t die_at_ = 0;
  bool done_ = false;
};

}  // namespace thalweg::objects
