// engine/durable/pack_writer.h
//
// Writes the parts of a snapshot: chunks that the snapshot before knows are named, the others go into one new pack.
//
// W1  The pack is on the platter when finish() has returned; nothing names it before.
// W2  Packs that are mostly unused, and the smallest of too many, are not looked at: what lives in them is written
// anew.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/durable/manifest.h"

namespace thalweg::durable {

// A part of a snapshot that is to be written.
struct Part {
  std::string name;
  std::vector<std::shared_ptr<const std::string>> pieces;
  bool unchanged = false;  // it is what it was in the newest snapshot
  bool is_blob = false;    // it is never edited: as few chunks as may be, and nobody looks for where to cut
  [[nodiscard]] std::uint64_t bytes() const;
};

class PackWriter {
 public:
  static constexpr std::size_t kPacksMax = 32;
  // `before`: the newest snapshot; null: there is none.
  PackWriter(Disk& disk, std::string folder, std::string name, std::shared_ptr<const Manifest> before);
  Result<void> add(const Part& part);
  Result<void> finish();
  // Fills in packs, parts and bytes.
  void move_into(Manifest& manifest);

 private:
  struct Place {
    std::uint32_t pack = 0;  // of `before`; kNew: of this one
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  struct HashOfHash {
    std::size_t operator()(const ChunkHash& hash) const { return hash.lo; }
  };
  static constexpr std::uint32_t kNew = 0xFFFFFFFF;
  void learn(const Manifest& before);
  [[nodiscard]] static std::vector<bool> worn_out(const Manifest& before);
  bool take_over(const Part& part);
  Result<void> place(std::string_view chunk, PackedPart& part);
  Result<void> place_blob(const Part& part, PackedPart& out);
  Result<void> write(std::string_view chunk);
  Result<void> flush();
  std::uint32_t index_of(std::uint32_t pack);

  Disk& disk_;
  const std::string folder_;
  const std::string name_;
  const std::shared_ptr<const Manifest> before_;
  std::vector<bool> leaves_;                                  // packs of `before` that are not looked at
  std::unordered_map<std::string_view, std::size_t> places_;  // parts of `before` by name
  std::unordered_map<ChunkHash, Place, HashOfHash> known_;
  std::unique_ptr<WriteFile> file_;
  std::string joined_;  // not yet written
  std::uint64_t bytes_ = 0;
  std::vector<std::optional<std::uint32_t>> indexes_;  // in packs_, of packs of `before`
  std::optional<std::uint32_t> new_index_;
  std::vector<PackFile> packs_;
  std::vector<PackedPart> parts_;
};

}  // namespace thalweg::durable
