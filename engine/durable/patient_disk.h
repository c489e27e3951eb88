// engine/durable/patient_disk.h
//
// A disk on which writing waits while there is no room, instead of failing: what was begun goes on where it was once
// there is room again, and nothing is lost or written twice.
//
// P1  Only errors that time may mend (kUnavailable: a full disk, a quota, a store that cannot be reached) are waited
//     for; of an append that was done in part the part is taken back before it is tried again.
// P2  After give_up() nothing waits: calls fail as they would on the disk below.
// Threads  any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "engine/base/env.h"
#include "engine/base/file_births.h"
#include "engine/durable/disk_wait.h"

namespace thalweg::durable {

class PatientDisk final : public Disk, public FileBirths {
 public:
  PatientDisk(std::shared_ptr<Disk> below, std::shared_ptr<Clock> clock);
  ~PatientDisk() override;
  void give_up();
  [[nodiscard]] DiskWait status() const;

  Result<FileStat> stat(const std::string& path) override;
  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override;
  Result<std::unique_ptr<WriteFile>> open_write(const std::string& path, WriteMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> make_directories(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> sync_directory(const std::string& directory) override;
  Result<std::shared_ptr<void>> lock(const std::string& path) override;
  std::optional<std::int64_t> birth_ns(const std::string& path) override { return thalweg::birth_ns(*below_, path); }

 private:
  class Waits;
  class Writer;
  const std::shared_ptr<Disk> below_;
  const std::shared_ptr<Waits> waits_;  // writers may outlive the disk
};

}  // namespace thalweg::durable
