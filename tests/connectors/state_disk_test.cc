// A pipeline's state on an object store: the laws of state_disk.h, and that nothing acknowledged is lost wherever the
// store dies.
#include "connectors/objects/state_disk.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "engine/durable/store.h"
#include "tests/connectors/memory_store.h"

using namespace thalweg;
using namespace thalweg::objects;

namespace {

constexpr std::int64_t kLeaseNs = 300'000'000;

std::shared_ptr<StateDisk> disk_on(const std::shared_ptr<MemoryStore>& store, std::int64_t lease_ns = kLeaseNs) {
  const Env env = real_env();
  return std::make_shared<StateDisk>(
      store, StateDiskOptions{
                 .prefix = "root/", .base = "s3://b/root/", .clock = env.clock, .rng = env.rng, .lease_ns = lease_ns});
}

Result<void> write(StateDisk& disk, const std::string& path, std::string_view text) {
  auto file = TRY(disk.open_write(path, Disk::WriteMode::kTruncate));
  TRY(file->append(text));
  return file->sync();
}

// Commits `first` to `last`, each acknowledged before the next; those that were are told in `acknowledged`.
Result<void> run_commits(durable::Store& store, std::uint64_t first, std::uint64_t last, std::uint64_t& acknowledged) {
  TRY(store.start(first));
  const Env env = real_env();
  for (std::uint64_t epoch = first; epoch <= last; ++epoch) {
    Result<void> done;
    store.log().append(epoch, fmt::format("commit {}", epoch), [&](const Result<void>& result) { done = result; });
    store.log().drain();
    TRY(std::move(done));
    acknowledged = epoch;
    if (epoch % 3 != 0) continue;
    std::vector<durable::Part> parts;
    parts.push_back({"sum", {std::make_shared<const std::string>(fmt::format("state {}", epoch))}});
    store.log().roll();
    TRY(store.write_snapshot(epoch, store.log().last_hash(), std::move(parts), *env.clock));
  }
  return {};
}

// The newest commit that a start finds; checks that all before it are there, too.
std::uint64_t newest(durable::Store& store) {
  std::uint64_t epoch = store.snapshot() ? store.snapshot()->epoch : 0;
  if (epoch > 0) {
    auto part = store.read_part("sum");
    REQUIRE(part.has_value());
    CHECK(*part == fmt::format("state {}", epoch));
  }
  const auto& found = store.log().found();
  for (std::size_t i = store.first_record(); i < found.size(); ++i) {
    REQUIRE(found[i].epoch == epoch + 1);
    epoch = found[i].epoch;
    auto text = store.log().read(found[i]);
    REQUIRE(text.has_value());
    CHECK(*text == fmt::format("commit {}", epoch));
  }
  return epoch;
}

}  // namespace

TEST_CASE("files on a store read as they were written") {
  auto store = std::make_shared<MemoryStore>();
  auto disk = disk_on(store);
  auto file = disk->open_write("s3://b/root/d/log", Disk::WriteMode::kTruncate);
  REQUIRE(file.has_value());
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    REQUIRE((*file)->append(fmt::format("piece {} ", i)).has_value());
    expected += fmt::format("piece {} ", i);
    if (i % 2 == 0) REQUIRE((*file)->sync().has_value());
  }
  REQUIRE((*file)->sync().has_value());
  CHECK(read_all(*disk, "s3://b/root/d/log", 1 << 20).value() == expected);
  REQUIRE(replace_file(*disk, "s3://b/root/d/whole", "first").has_value());
  REQUIRE(replace_file(*disk, "s3://b/root/d/whole", "second").has_value());
  CHECK(read_all(*disk, "s3://b/root/d/whole", 1 << 20).value() == "second");
  CHECK(disk->list("s3://b/root/d").value() == std::vector<std::string>{"log", "whole"});
  auto more = disk->open_write("s3://b/root/d/whole", Disk::WriteMode::kAppend);
  REQUIRE((*more)->append(" third").has_value());
  CHECK(read_all(*disk, "s3://b/root/d/whole", 1 << 20).value() == "second");
  REQUIRE((*more)->sync().has_value());
  CHECK(read_all(*disk, "s3://b/root/d/whole", 1 << 20).value() == "second third");
  REQUIRE(disk->remove("s3://b/root/d/log").has_value());
  CHECK(disk->list("s3://b/root/d").value() == std::vector<std::string>{"whole"});
  CHECK(disk->stat("s3://b/root/d/log").error().code == Code::kNotFound);
  CHECK(store->list("root/d/log", false, "").value().objects.empty());
}

TEST_CASE("a file of an earlier run is cut, not written on") {
  auto store = std::make_shared<MemoryStore>();
  auto disk = disk_on(store);
  auto file = disk->open_write("/d/log", Disk::WriteMode::kTruncate);
  for (std::string_view text : {"abc", "defg", "hi"}) {
    REQUIRE((*file)->append(text).has_value());
    REQUIRE((*file)->sync().has_value());
  }
  for (const auto& [size, expected] :
       std::vector<std::pair<std::uint64_t, std::string>>{{8, "abcdefgh"}, {7, "abcdefg"}, {5, "abcde"}, {2, "ab"}}) {
    auto old = disk->open_write("/d/log", Disk::WriteMode::kAppend);
    REQUIRE((*old)->truncate(size).has_value());
    REQUIRE((*old)->sync().has_value());
    CHECK(read_all(*disk, "/d/log", 100).value() == expected);
    CHECK_FALSE((*old)->append("x").has_value());
  }
}

TEST_CASE("a large file is uploaded in parts and is there after the rename") {
  auto store = std::make_shared<MemoryStore>();
  auto disk = disk_on(store);
  std::string content;
  while (content.size() < 40'000'000) content += fmt::format("{} ", content.size());
  REQUIRE(write(*disk, "/seg/x.tmp", content).has_value());
  CHECK(disk->list("/seg").value().empty());
  CHECK_FALSE(disk->rename("/seg/x.tmp", "/seg/y").has_value());
  REQUIRE(disk->rename("/seg/x.tmp", "/seg/x").has_value());
  CHECK(read_all(*disk, "/seg/x", 1 << 30).value() == content);
}

TEST_CASE("a second run is refused while the first lives") {
  auto store = std::make_shared<MemoryStore>();
  auto first = disk_on(store);
  auto lock = first->lock("/d/LOCK");
  REQUIRE(lock.has_value());
  auto refused = disk_on(store)->lock("/d/LOCK");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Code::kUnavailable);
  lock->reset();
  CHECK(disk_on(store)->lock("/d/LOCK").has_value());
}

TEST_CASE("a server that keeps no conditions is refused") {
  auto store = std::make_shared<MemoryStore>();
  store->keeps_conditions = false;
  auto lock = disk_on(store)->lock("/d/LOCK");
  REQUIRE_FALSE(lock.has_value());
  CHECK(lock.error().message.find("If-None-Match") != std::string::npos);
}

TEST_CASE("a writer that was taken over acknowledges nothing more") {
  auto store = std::make_shared<MemoryStore>();
  // The first one renews too slowly: to the second it looks dead.
  auto first = disk_on(store, 3'600'000'000'000);
  auto lock = first->lock("/d/LOCK");
  REQUIRE(lock.has_value());
  auto file = first->open_write("/d/elog/1.log", Disk::WriteMode::kTruncate);
  REQUIRE((*file)->append("one").has_value());
  REQUIRE((*file)->sync().has_value());
  auto unborn = first->open_write("/d/elog/2.log", Disk::WriteMode::kTruncate);
  REQUIRE(unborn.has_value());

  auto second = disk_on(store);
  auto taken = second->lock("/d/LOCK");
  REQUIRE(taken.has_value());
  CHECK(read_all(*second, "/d/elog/1.log", 100).value() == "one");
  REQUIRE((*file)->append("two").has_value());
  CHECK_FALSE((*file)->sync().has_value());
  REQUIRE((*unborn)->append("three").has_value());
  CHECK_FALSE((*unborn)->sync().has_value());
  CHECK_FALSE(first->open_write("/d/elog/3.log", Disk::WriteMode::kTruncate).has_value());
  CHECK(read_all(*second, "/d/elog/1.log", 100).value() == "one");
  CHECK(second->list("/d/elog").value() == std::vector<std::string>{"1.log"});
}

TEST_CASE("what was acknowledged is there wherever the store dies") {
  // Counts the calls of an undisturbed run, then dies at each of them, the call done or not.
  auto calm = std::make_shared<MemoryStore>();
  std::uint64_t calls = 0;
  {
    auto opened = durable::Store::open(disk_on(calm), "/d");
    REQUIRE(opened.has_value());
    std::uint64_t acknowledged = 0;
    REQUIRE(run_commits(**opened, 1, 10, acknowledged).has_value());
    REQUIRE(acknowledged == 10);
    calls = calm->calls();
  }
  REQUIRE(calls > 100);
  for (std::uint64_t at = 1; at <= calls; ++at) {
    for (const bool done : {false, true}) {
      INFO("call " << at << (done ? ", done" : ", not done"));
      auto store = std::make_shared<MemoryStore>();
      store->die_at_call(at, done);
      std::uint64_t acknowledged = 0;
      {
        auto opened = durable::Store::open(disk_on(store), "/d");
        if (opened) (void)run_commits(**opened, 1, 10, acknowledged);
      }
      store->live();
      // The lock of the dead one is still there, and its process (ours) lives: its lease has to run out.
      auto again = durable::Store::open(disk_on(store, 20'000'000), "/d");
      if (!again) FAIL(again.error().message);
      const std::uint64_t found = newest(**again);
      CHECK(found >= acknowledged);
      CHECK(found <= acknowledged + 1);
      std::uint64_t more = 0;
      auto went = run_commits(**again, found + 1, found + 5, more);
      if (!went) FAIL(went.error().message);
      again->reset();
      auto last = durable::Store::open(disk_on(store), "/d");
      if (!last) FAIL(last.error().message);
      CHECK(newest(**last) == found + 5);
    }
  }
}
