// The store of dead letters: what it keeps over restarts and power cuts, what it forgets, what it takes back.
#include <catch2/catch.hpp>

#include "engine/durable/dead_letters.h"
#include "engine/durable/memory_disk.h"

namespace thalweg::durable {

namespace {

class SetClock : public Clock {
 public:
  std::int64_t wall_ns() override { return now; }
  std::int64_t monotonic_ns() override { return now; }
  std::int64_t now = 1'000'000'000;
};

class SeededRng : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  std::uint64_t next() override {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  std::uint64_t state_;
};

struct World {
  std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>();
  std::shared_ptr<SetClock> clock = std::make_shared<SetClock>();
  DeadLetterLimits limits;

  [[nodiscard]] std::shared_ptr<DeadLetters> open(bool across_runs = true) const {
    auto opened = DeadLetters::open(disk, clock, "/dlq", limits, across_runs);
    REQUIRE(opened);
    return *opened;
  }
};

DeadLetter record(const std::string& payload, const std::string& connector = "orders") {
  return {.kind = DeadLetter::Kind::kRecord,
          .connector = connector,
          .type = "io.csv.read",
          .reason = "no int",
          .position = "a.csv:" + payload,
          .payload = payload};
}

DeadLetter row(std::uint64_t number) {
  DeadLetter out = record("row " + std::to_string(number), "out");
  out.kind = DeadLetter::Kind::kRow;
  out.print = Key{number, number};
  return out;
}

void keep(DeadLetters& letters, const std::string& part, std::uint64_t commit, std::vector<DeadLetter> of) {
  REQUIRE(letters.keep({.part = part, .commit = commit, .letters = std::move(of)}, true));
}

std::vector<std::string> payloads(const DeadLetters& letters, const DeadLetters::Query& query = {}) {
  std::vector<std::string> out;
  auto found = letters.list(query);
  REQUIRE(found);
  for (const DeadLetter& letter : *found) out.push_back(letter.payload);
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("dead letters are there after a restart, with what they say") {
  World world;
  {
    auto letters = world.open();
    keep(*letters, "engine", 2, {record("1"), record("2", "other")});
    keep(*letters, "engine", 4, {record("3")});
    auto dropped = letters->drop({2, 99});
    REQUIRE(dropped);
    CHECK(*dropped == 1);
  }
  auto letters = world.open();
  CHECK(payloads(*letters) == Texts{"1", "3"});
  CHECK(payloads(*letters, {.connector = "other"}).empty());
  CHECK(payloads(*letters, {.after = 1}) == Texts{"3"});
  CHECK(payloads(*letters, {.limit = 1}) == Texts{"1"});
  CHECK(payloads(*letters, {.kind = DeadLetter::Kind::kRow}).empty());
  auto one = letters->get(3);
  REQUIRE(one);
  CHECK(one->reason == "no int");
  CHECK(one->position == "a.csv:3");
  CHECK(one->commit == 4);
  CHECK(one->wall_ns == world.clock->now);
  CHECK(letters->get(2).error().code == Code::kNotFound);
  keep(*letters, "engine", 6, {record("4")});
  CHECK(letters->get(4));  // numbers are not used again
}

TEST_CASE("commits that did not happen leave nothing, and give back what was replayed in them") {
  World world;
  auto letters = world.open();
  keep(*letters, "engine", 2, {record("1")});
  keep(*letters, "engine", 4, {record("2")});
  REQUIRE(letters->keep({.part = "engine", .commit = 6, .letters = {record("3")}, .replayed = {1}}, true));
  CHECK(payloads(*letters) == Texts{"2", "3"});
  letters = nullptr;
  letters = world.open();
  REQUIRE(letters->forget("engine", 4));
  CHECK(payloads(*letters) == Texts{"1", "2"});
  keep(*letters, "engine", 6, {record("3 again")});
  letters = nullptr;
  CHECK(payloads(*world.open()) == Texts{"1", "2", "3 again"});
}

TEST_CASE("a commit of an output that comes again is said again, not twice") {
  World world;
  auto letters = world.open();
  keep(*letters, "output", 2, {row(1), row(2)});
  keep(*letters, "output", 2, {row(1)});
  CHECK(payloads(*letters) == Texts{"row 1"});
  CHECK(letters->refused("output").size() == 1);
  keep(*letters, "output", 2, {});
  CHECK(payloads(*letters).empty());
  CHECK(letters->refused("output").empty());
}

TEST_CASE("a refused row that is taken back takes its letter along, and is remembered when the letter is not") {
  World world;
  auto letters = world.open();
  keep(*letters, "output", 2, {row(1), row(1), row(2), row(3)});
  CHECK(letters->refused("output").at(Key{1, 1}) == 2);
  REQUIRE(letters->keep({.part = "output", .commit = 4, .absorbed = {Key{1, 1}, Key{2, 2}}}, true));
  CHECK(payloads(*letters) == Texts{"row 1", "row 3"});
  CHECK(letters->refused("output").at(Key{1, 1}) == 1);
  REQUIRE(letters->drop({4}));
  CHECK(letters->refused("output").contains(Key{3, 3}));
  REQUIRE(letters->keep({.part = "output", .commit = 6, .refused = {Key{9, 9}}}, true));
  REQUIRE(letters->keep({.part = "output", .commit = 8, .replayed = {2}}, true));
  letters = nullptr;
  letters = world.open();
  CHECK(letters->refused("output").size() == 2);  // 3, of which the letter was dropped, and 9, which never had one
  CHECK(payloads(*letters).empty());
}

TEST_CASE("without state a new run does not add what is there already") {
  World world;
  auto letters = world.open(false);
  REQUIRE(letters->begin_run());
  keep(*letters, "engine", 2, {record("1"), record("1")});
  REQUIRE(letters->begin_run());
  keep(*letters, "engine", 2, {record("1"), record("1"), record("2")});
  CHECK(payloads(*letters) == Texts{"1", "1", "2"});
  CHECK(letters->refused("output").empty());
}

TEST_CASE("dead letters are bounded in number, bytes and age, and what goes is counted") {
  World world;
  world.limits = {.bytes_max = 64 * 1024, .letters_max = 50, .age_ns_max = 1'000'000'000, .commit_letters_max = 20};
  auto letters = world.open();
  std::vector<DeadLetter> many(30, record("x"));
  keep(*letters, "engine", 2, many);
  CHECK(letters->stats().letters == 20);
  CHECK(letters->stats().lost == 10);
  for (std::uint64_t commit = 4; commit < 400; commit += 2)
    keep(*letters, "engine", commit, {record(std::string(1000, 'y') + std::to_string(commit))});
  DeadLetters::Stats stats = letters->stats();
  CHECK(stats.letters <= 50);
  CHECK(stats.bytes <= 64 * 1024 + 2048);
  CHECK(stats.expired > 100);
  keep(*letters, "output", 2, {row(5)});
  world.clock->now += 2'000'000'000;
  CHECK(payloads(*letters).empty());
  for (std::uint64_t commit = 400; commit < 500; commit += 2) keep(*letters, "engine", commit, {record("new")});
  CHECK(letters->refused("output").contains(Key{5, 5}));  // its letter is gone
  letters = nullptr;
  CHECK(world.open()->refused("output").contains(Key{5, 5}));
}

TEST_CASE("after a power cut the letters that were kept are there, and a torn end is cut off") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    World world;
    SeededRng random(seed);
    std::uint64_t acknowledged = 0;
    {
      auto letters = world.open();
      world.disk->die_at_call(world.disk->calls() + 1 + random.next() % 20);
      for (std::uint64_t commit = 2; !world.disk->dead(); commit += 2) {
        if (!letters->keep({.part = "engine", .commit = commit, .letters = {record(std::to_string(commit))}}, true))
          break;
        acknowledged = commit;
      }
    }
    world.disk->restart(random, true);
    auto letters = world.open();
    REQUIRE(letters->forget("engine", acknowledged));
    Texts expected;
    for (std::uint64_t commit = 2; commit <= acknowledged; commit += 2) expected.push_back(std::to_string(commit));
    INFO("seed " << seed);
    CHECK(payloads(*letters) == expected);
    keep(*letters, "engine", acknowledged + 2, {record("after")});
    expected.push_back("after");
    letters = nullptr;
    CHECK(payloads(*world.open()) == expected);
  }
}

}  // namespace thalweg::durable
