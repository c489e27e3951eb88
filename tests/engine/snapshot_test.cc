// Snapshots that write what changed, packs, and a disk that is full for a while.
#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <chrono>
#include <future>
#include <thread>

#include "engine/base/bytes.h"
#include "engine/durable/memory_disk.h"
#include "engine/durable/patient_disk.h"
#include "engine/durable/store.h"

namespace thalweg::durable {

namespace {

class CountingClock : public Clock {
 public:
  std::int64_t wall_ns() override { return ++now_; }
  std::int64_t monotonic_ns() override { return ++now_; }

 private:
  std::atomic<std::int64_t> now_{0};
};

std::string noise(std::size_t bytes, std::uint64_t seed) {
  std::string out(bytes, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (char& c : out) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state);
  }
  return out;
}

// In pieces, as operators write.
Part pieces_of(const std::string& name, const std::string& content) {
  Part out{name, {}};
  for (std::size_t at = 0; at < content.size(); at += 1'000'000)
    out.pieces.push_back(std::make_shared<const std::string>(content.substr(at, 1'000'000)));
  return out;
}

struct Folder {
  std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>();
  CountingClock clock;
  std::unique_ptr<Store> store;
  std::uint64_t epoch = 0;

  Folder() { open(); }
  void open() {
    store.reset();
    auto opened = Store::open(disk, "/s");
    REQUIRE(opened);
    store = std::move(*opened);
  }
  void start() { REQUIRE(store->start(epoch + 2)); }
  SnapshotInfo save(std::vector<Part> parts) {
    epoch += 2;
    auto info = store->write_snapshot(epoch, 0, std::move(parts), clock);
    REQUIRE(info);
    return *info;
  }
  [[nodiscard]] std::uint64_t seg_bytes() const {
    std::uint64_t sum = 0;
    auto names = disk->list("/s/seg");
    for (const std::string& name : *names) sum += disk->stat("/s/seg/" + name)->size;
    return sum;
  }
};

}  // namespace

TEST_CASE("cuts are found again behind an insertion, however the bytes come") {
  std::string content = noise(5'000'000, 1);
  auto cut = [](std::string_view bytes, std::size_t step) {
    std::vector<ChunkHash> out;
    std::string joined;
    ChunkCutter cutter([&](std::string_view chunk) {
      CHECK(chunk.size() <= ChunkCutter::kBytesMax);
      out.push_back(chunk_hash(chunk));
      joined += chunk;
    });
    for (std::size_t at = 0; at < bytes.size(); at += step) cutter.feed(bytes.substr(at, step));
    cutter.finish();
    CHECK(joined == bytes);
    return out;
  };
  std::vector<ChunkHash> whole = cut(content, content.size());
  CHECK(whole.size() > 5'000'000 / 100'000);
  CHECK(whole.size() < 5'000'000 / 20'000);
  CHECK(cut(content, 1'000'003) == whole);
  CHECK(cut(content, 7'919) == whole);
  std::string longer = content;
  longer.insert(2'000'000, "something");
  std::size_t other = 0;
  for (const ChunkHash& hash : cut(longer, 1'000'000))
    if (std::ranges::find(whole, hash) == whole.end()) ++other;
  CHECK(other <= 3);
}

TEST_CASE("a snapshot writes what changed") {
  Folder folder;
  folder.start();
  std::string state = noise(20'000'000, 2);
  CHECK(folder.save({pieces_of("state", state)}).written_bytes == state.size());
  CHECK(folder.save({pieces_of("state", state)}).written_bytes == 0);
  state[7'000'000] ^= 1;
  CHECK(folder.save({pieces_of("state", state)}).written_bytes <= 2 * ChunkCutter::kBytesMax);
  state.insert(3'000'000, "a row");
  state += noise(1000, 3);
  CHECK(folder.save({pieces_of("state", state)}).written_bytes <= 5 * ChunkCutter::kBytesMax);
  // A thousand changes all over the place: what lies between them is not written.
  for (std::size_t i = 0; i < 20; ++i) state[i * 1'000'000] ^= 2;
  CHECK(folder.save({pieces_of("state", state)}).written_bytes <= 40 * ChunkCutter::kBytesMax);
  SECTION("and the next start has all of it") {
    folder.open();
    CHECK(*folder.store->read_part("state") == state);
    folder.start();
    CHECK(folder.save({pieces_of("state", state)}).written_bytes == 0);  // what is known survives the start, too
  }
}

TEST_CASE("what nobody needs goes, however often the state changes") {
  Folder folder;
  folder.start();
  std::string state = noise(3'000'000, 4);
  SECTION("all of it at once") {
    for (std::uint64_t i = 0; i < 12; ++i) {
      state = noise(3'000'000, 100 + i);
      folder.save({pieces_of("state", state)});
    }
    CHECK(folder.seg_bytes() <= 4 * state.size());
  }
  SECTION("a little at a time") {
    for (std::size_t i = 0; i < 300; ++i) {
      state[(i * 37'777) % state.size()] ^= 1;
      folder.save({pieces_of("state", state), pieces_of("small", std::to_string(i))});
    }
    CHECK(folder.seg_bytes() <= 3 * state.size());
    CHECK(folder.disk->list("/s/seg")->size() <= PackWriter::kPacksMax + 8);
  }
  folder.open();
  CHECK(*folder.store->read_part("state") == state);
}

TEST_CASE("damage in what only the newest snapshot has: the one before it is gone on from") {
  Folder folder;
  folder.start();
  std::string state = noise(3'000'000, 5);
  folder.save({pieces_of("state", state)});
  std::string changed = state;
  changed[1'000'000] ^= 1;
  folder.save({pieces_of("state", changed)});
  auto names = folder.disk->list("/s/seg");
  REQUIRE(names->size() == 2);
  folder.disk->flip_bit("/s/seg/" + names->back(), 1234);
  folder.open();
  CHECK(folder.store->snapshot()->epoch == 2);
  CHECK(*folder.store->read_part("state") == state);
  CHECK(folder.store->events().size() == 1);
}

TEST_CASE("D5: a large snapshot is verified beside its loading; what is damaged shows before anybody may act on it") {
  Folder folder;
  folder.start();
  std::string state = noise(70'000'000, 6);
  folder.save({pieces_of("state", state), pieces_of("small", "a")});
  std::string changed = state;
  changed[60'000'000] ^= 1;
  folder.save({pieces_of("state", changed), pieces_of("small", "b")});
  folder.store.reset();
  auto open = [&](Store::Verify verify) {
    auto opened = Store::open(folder.disk, "/s", verify);
    REQUIRE(opened);
    return std::move(*opened);
  };
  {
    auto store = open(Store::Verify::kBeside);
    CHECK(*store->read_part("small") == "b");
    CHECK(store->verified().has_value());
    CHECK(*store->read_part("state") == changed);
  }
  folder.disk->flip_bit("/s/seg/" + folder.disk->list("/s/seg")->back(), 1234);
  {
    auto store = open(Store::Verify::kBeside);
    CHECK(store->snapshot()->epoch == 4);
    CHECK_FALSE(store->verified().has_value());
  }
  auto store = open(Store::Verify::kFirst);
  CHECK(store->snapshot()->epoch == 2);
  CHECK(*store->read_part("state") == state);
}

TEST_CASE("a blob is written once, in few chunks, and is there at the next start") {
  Folder folder;
  folder.start();
  const std::string content = noise(2'500'000, 7);
  auto blob = [&](const std::string& name, const std::string& bytes) {
    return Part{.name = name, .pieces = {std::make_shared<const std::string>(bytes)}, .is_blob = true};
  };
  CHECK(folder.save({blob("source/a", content)}).written_bytes == content.size());
  CHECK(folder.save({blob("source/a", content), blob("source/none", "")}).written_bytes == 0);
  CHECK(folder.save({blob("source/a", content), blob("source/b", "more"), blob("source/none", "")}).written_bytes == 4);
  folder.open();
  CHECK(*folder.store->read_part("source/a") == content);
  CHECK(*folder.store->read_part("source/b") == "more");
  CHECK(folder.store->read_part("source/none")->empty());
}

TEST_CASE("snapshots of format 1 are read") {
  using bytes::put_number;
  using bytes::put_text;
  auto disk = std::make_shared<MemoryDisk>();
  REQUIRE(disk->make_directories("/s/seg"));
  auto put = [&](const std::string& path, std::string_view content) { REQUIRE(replace_file(*disk, path, content)); };
  put("/s/seg/abc.part", "firstsecond");
  std::string manifest;
  put_number<std::uint32_t>(manifest, 0x464D5754);
  put_number<std::uint32_t>(manifest, 1);
  for (std::uint64_t v : {7, 40, 3}) put_number<std::uint64_t>(manifest, v);  // number, epoch, generation
  for (int i = 0; i < 4; ++i) put_number<std::uint64_t>(manifest, 0);         // times, bytes, hash of the log
  put_number<std::uint64_t>(manifest, 2);
  std::uint64_t offset = 0;
  for (std::string part : {"first", "second"}) {
    put_text(manifest, "part/" + part);
    put_text(manifest, "abc.part");
    put_number<std::uint64_t>(manifest, offset);
    put_number<std::uint64_t>(manifest, part.size());
    put_number(manifest, bytes::checksum(part));
    offset += part.size();
  }
  put_number(manifest, bytes::checksum(manifest));
  put("/s/manifest-0000000007", manifest);
  put("/s/CURRENT", fmt::format("7 {:016x}\n", bytes::checksum("7")));
  {
    auto store = Store::open(disk, "/s");
    REQUIRE(store);
    CHECK((*store)->snapshot()->epoch == 40);
    CHECK(*(*store)->read_part("part/first") == "first");
    CHECK(*(*store)->read_part("part/second") == "second");
    // The next one is of the present format.
    CountingClock clock;
    REQUIRE((*store)->start(42));
    REQUIRE((*store)->write_snapshot(42, 0, {pieces_of("part/first", "first")}, clock));
  }
  auto store = Store::open(disk, "/s");
  REQUIRE(store);
  CHECK(*(*store)->read_part("part/first") == "first");
}

TEST_CASE("a full disk is waited for; what was half written is not there twice") {
  auto clock = std::make_shared<CountingClock>();
  auto below = std::make_shared<MemoryDisk>();
  auto disk = std::make_shared<PatientDisk>(below, clock);
  auto opened = Store::open(disk, "/s");
  REQUIRE(opened);
  Store& store = **opened;
  REQUIRE(store.start(2));
  std::promise<bool> first;
  store.log().append(2, noise(5000, 1), [&](const Result<void>& done) { first.set_value(done.has_value()); });
  REQUIRE(first.get_future().get());
  below->set_capacity(7000);  // half of the next record has room
  std::promise<bool> second;
  std::promise<Result<SnapshotInfo>> snapshot;
  store.log().append(4, noise(5000, 2), [&](const Result<void>& done) { second.set_value(done.has_value()); });
  std::future<bool> written = second.get_future();
  while (!disk->status().waiting) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(disk->status().reason.find("No space left") != std::string::npos);
  CHECK(written.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
  SECTION("until there is room") {
    below->set_capacity(1 << 20);
    CHECK(written.get());
    CHECK_FALSE(disk->status().waiting);
    CHECK(disk->status().waits == 1);
    // A snapshot waits as well.
    std::string state = noise(3'000'000, 3);
    std::thread writer([&] {
      snapshot.set_value(store.write_snapshot(4, store.log().last_hash(), {pieces_of("state", state)}, *clock));
    });
    while (!disk->status().waiting) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    below->set_capacity(1 << 30);
    writer.join();
    REQUIRE(snapshot.get_future().get());
    opened->reset();
    auto again = Store::open(below, "/s");
    REQUIRE(again);
    CHECK(*(*again)->read_part("state") == state);
    const auto& found = (*again)->log().found();
    REQUIRE(found.size() == 2);
    CHECK(*(*again)->log().read(found[1]) == noise(5000, 2));
  }
  SECTION("or until nobody wants to wait any more") {
    disk->give_up();
    CHECK_FALSE(written.get());
    opened->reset();
    below->set_capacity(1 << 20);
    auto again = Store::open(below, "/s");
    REQUIRE(again);
    CHECK((*again)->log().found().size() == 1);
  }
}

}  // namespace thalweg::durable
