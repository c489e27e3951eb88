// connectors/objects/state_lock.h
//
// Who may write below a prefix: an object that is changed by If-Match alone. See state_disk.h, K2 and K3.
// Threads  any; a thread of its own renews it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "connectors/objects/object_store.h"
#include "engine/base/env.h"

namespace thalweg::objects {

class StateLock {
 public:
  StateLock(std::shared_ptr<ObjectStore> store, std::string key, std::shared_ptr<Clock> clock, std::shared_ptr<Rng> rng,
            std::int64_t lease_ns);
  StateLock(const StateLock&) = delete;
  StateLock& operator=(const StateLock&) = delete;
  ~StateLock();  // gives it back

  // What the last owner had open. Waits for the sign of life of an owner, at most as long as a lease. kUnavailable:
  // another run has it.
  [[nodiscard]] Result<std::vector<std::string>> take();
  // The files of the last owner are closed. From here on the lock is renewed.
  Result<void> settle();
  // Another file will be written.
  Result<void> declare(const std::string& key);
  void closed(const std::string& key);
  // It is ours, for some moments at least.
  Result<void> check();

 private:
  struct Content {
    bool held = false;
    std::string owner, host;
    std::int64_t pid = 0;
    std::uint64_t started = 0;  // when the process was
    std::uint64_t count = 0;
    std::vector<std::string> open;
  };
  [[nodiscard]] static std::string encode(const Content& content);
  [[nodiscard]] static std::optional<Content> decode(std::string_view text);
  [[nodiscard]] bool is_dead(const Content& content) const;
  Result<void> check_conditions();
  // Requires: mutex_ is held.
  Result<void> renew();
  void keep_alive();

  const std::shared_ptr<ObjectStore> store_;
  const std::string key_;
  const std::shared_ptr<Clock> clock_;
  const std::int64_t lease_ns_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Content ours_;  // guarded by mutex_, as is all below
  std::string etag_;
  std::int64_t renewed_ns_ = 0;
  std::optional<Error> lost_;
  bool stop_ = false;
  std::thread thread_;
};

// `where` was changed by somebody else.
[[nodiscard]] Error lock_lost(const std::string& where);

}  // namespace thalweg::objects
