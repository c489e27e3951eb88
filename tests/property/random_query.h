// tests/property/random_query.h
//
// Random tables, updates of them, and queries over them whose answers SQLite and we must agree on: no division of
// ints, no overflow, no ERROR, no tie at a LIMIT.
#pragma once

#include <string>
#include <vector>

#include "engine/types/schema.h"
#include "engine/types/value.h"
#include "tests/support/random.h"

namespace thalweg::testing {

struct RandomTable {
  std::string name;
  Schema schema;
  struct Event {
    std::uint64_t time = 2;
    int diff = 1;
    std::size_t label = 0;  // a row that goes has the label of the row that came
    std::vector<Value> row;
  };
  std::vector<Event> events;  // by time
};

[[nodiscard]] std::vector<RandomTable> random_tables(Random& random, std::size_t num_times);
[[nodiscard]] std::string random_query(Random& random);

}  // namespace thalweg::testing
