// Measures an index of vectors in one thread: vector_bench KIND METRIC DIMENSIONS BASE QUERIES LIMIT OUT
// [OPTION=VALUE…]
//
// BASE and QUERIES are files of floats. The rows of BASE are added; with `churn=N`, N of the first rows are removed and
// added again as rows of `fresh=FILE`, evenly. Every query is asked on its own, `rounds` times. OUT gets, per query,
// LIMIT row numbers (32 bits, -1 for none). Prints CPU seconds: `add=… churn=… search=…`, the last of the best round.
// With `sweep=A,B,…` the index is saved and restored once for each expansion_search, and asked again: `search=` and OUT
// have them behind each other.
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "llm/index/factory.h"

namespace {

using namespace thalweg;

class AllRows final : public plan::IndexScope {
 public:
  std::vector<Key> keys;
  [[nodiscard]] bool admits(std::uint32_t) const override { return true; }
  [[nodiscard]] const Key& key(std::uint32_t slot) const override { return keys[slot]; }
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::vector<float> floats_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(in)), {});
  std::vector<float> out(all.size() / sizeof(float));
  std::copy_n(all.data(), out.size() * sizeof(float), reinterpret_cast<char*>(out.data()));
  return out;
}

// The rows of a file as cells.
class Rows {
 public:
  Rows(const std::string& path, std::size_t dimensions) {
    const std::vector<float> floats = floats_of(path);
    for (std::size_t at = 0; at + dimensions <= floats.size(); at += dimensions) {
      NdArray array;
      array.shape = {static_cast<std::int64_t>(dimensions)};
      array.data = std::vector<double>(floats.begin() + static_cast<std::ptrdiff_t>(at),
                                       floats.begin() + static_cast<std::ptrdiff_t>(at + dimensions));
      columns_.push_back(Column::constant(type_, Value::array(std::move(array)), 1));
    }
  }
  [[nodiscard]] std::size_t size() const { return columns_.size(); }
  [[nodiscard]] plan::IndexCell operator[](std::size_t row) const { return {&type_, &columns_[row], 0}; }

 private:
  Type type_ = Type::array();
  std::vector<Column> columns_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) return std::fputs("usage: see the source\n", stderr), 2;
  const std::string metric = argv[2];
  const std::size_t dimensions = std::stoul(argv[3]), limit = std::stoul(argv[6]);
  std::map<std::string, std::string> options = {{"rounds", "3"}};
  Setting::Map settings = {{"metric", Setting(metric)}};
  for (int i = 8; i < argc; ++i) {
    const std::string option = argv[i];
    const std::size_t equals = option.find('=');
    options[option.substr(0, equals)] = option.substr(equals + 1);
    if (option.starts_with("connect") || option.starts_with("expansion"))
      settings.emplace_back(option.substr(0, equals), Setting(std::int64_t{std::stoll(option.substr(equals + 1))}));
  }
  const auto make = [&](const std::string& expansion) {
    plan::IndexSpec spec;
    spec.kind = argv[1];
    Setting::Map all = settings;
    if (!expansion.empty()) all.emplace_back("expansion_search", Setting(std::int64_t{std::stoll(expansion)}));
    spec.options = Setting(std::move(all));
    return (*llm::make_index(spec))->make();
  };
  auto index = make("");
  const Rows base(argv[4], dimensions), queries(argv[5], dimensions);
  AllRows scope;
  const auto add = [&](std::uint32_t slot, const plan::IndexCell& cell) {
    if (scope.keys.size() <= slot) scope.keys.resize(slot + 1);
    scope.keys[slot] = {0, slot};
    if (!index->add(slot, {&cell, 1})) std::abort();
  };
  double begin = cpu_seconds();
  for (std::uint32_t slot = 0; slot < base.size(); ++slot) add(slot, base[slot]);
  std::printf("add=%.6f", cpu_seconds() - begin);
  if (options.contains("churn")) {
    const Rows fresh(options["fresh"], dimensions);
    const std::size_t count = std::stoul(options["churn"]);
    begin = cpu_seconds();
    for (std::size_t i = 0; i < count; ++i) {
      const auto slot = static_cast<std::uint32_t>(i * base.size() / count);
      index->remove(slot);
      add(slot, fresh[i]);
    }
    std::printf(" churn=%.6f", cpu_seconds() - begin);
  }
  std::vector<std::int32_t> answers;
  const auto ask_all = [&] {
    double best = 1e9;
    const std::size_t before = answers.size();
    for (unsigned long round = 0; round < std::stoul(options["rounds"]); ++round) {
      answers.resize(before);
      begin = cpu_seconds();
      for (std::size_t query = 0; query < queries.size(); ++query) {
        const plan::IndexCell cell = queries[query];
        const auto hits = index->search({&cell, 1}, limit, scope);
        for (std::size_t i = 0; i < limit; ++i)
          answers.push_back(i < hits->size() ? static_cast<std::int32_t>((*hits)[i].slot) : -1);
      }
      best = std::min(best, cpu_seconds() - begin);
    }
    std::printf(" search=%.6f", best);
  };
  if (!options.contains("sweep")) ask_all();
  std::stringstream sweep(options["sweep"]);
  for (std::string expansion; std::getline(sweep, expansion, ',');) {
    auto next = make(expansion);
    for (std::uint32_t slot = 0; slot < base.size(); ++slot)
      if (!next->restore(slot, index->save(slot))) std::abort();
    index = std::move(next);
    ask_all();
  }
  std::printf(" bytes=%llu\n", static_cast<unsigned long long>(index->bytes()));
  std::ofstream(argv[7], std::ios::binary)
      .write(reinterpret_cast<const char*>(answers.data()), static_cast<std::streamsize>(answers.size() * 4));
}
