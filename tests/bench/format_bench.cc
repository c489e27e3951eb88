// Rows per second of the decoders, on one core, from memory to columns.
//
//   format_bench [megabytes]
//
// Blocks of 1 MiB are decoded in turn, as a worker does; the best of five rounds counts.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "connectors/file/source.h"

namespace thalweg {

namespace {

class CountRows final : public RowSink {
 public:
  void rows(Batch batch) override { count += batch.num_rows; }
  void bad_record(BadRecord) override { ++bad; }
  std::size_t count = 0;
  std::size_t bad = 0;
};

plan::SourceField field(std::string name, Type type, bool used = true) {
  plan::SourceField f;
  f.name = f.external_name = std::move(name);
  f.type = std::move(type);
  f.used = used;
  return f;
}

std::uint64_t next_random() {
  static std::uint64_t seed = 7;
  seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
  return seed >> 33;
}

std::string word() {
  std::string w;
  std::uint64_t id = next_random() % 5000 + 1000;
  for (int i = 0; i < 7; ++i, id /= 3) w += static_cast<char>('a' + (id + static_cast<std::uint64_t>(i)) % 26);
  return w;
}

std::string wordcount_line() { return fmt::format("{{\"word\": \"{}\"}}\n", word()); }
std::string bid_line() {
  return fmt::format(
      "{{\"auction\":{},\"bidder\":{},\"price\":{},\"channel\":\"channel-{}\",\"url\":\"https://www.nexmark.com/{}/"
      "item.htm?query=1\","
      "\"dateTime\":\"2024-01-02T03:04:{:02}.{:03}\"}}\n",
      next_random() % 100000, next_random() % 50000, next_random() % 10000000, next_random() % 10000, word(),
      next_random() % 60, next_random() % 1000);
}
std::string csv_line() {
  return fmt::format("{},{},{}.{:02},{}\n", next_random() % 1000000, word(), next_random() % 10000, next_random() % 100,
                     next_random() % 2 ? "true" : "false");
}
std::string quoted_line() {
  return fmt::format("{},\"{}, and \"\"more\"\"\",{}.{:02},\"{}\"\n", next_random() % 1000000, word(),
                     next_random() % 10000, next_random() % 100, next_random() % 2 ? "true" : "false");
}

struct Case {
  std::string name;
  std::string connector;
  std::function<std::string()> line;
  std::vector<plan::SourceField> fields;
  std::string header;
  bool keys = false;
};

// Of this thread: other work on the machine counts less.
double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void measure(const Case& c, std::size_t megabytes) {
  plan::Source source;
  source.connector = c.connector;
  source.fields = c.fields;
  source.needs_keys = c.keys;
  FileReadSettings settings;
  settings.format = c.connector == "io.csv.read" ? FileFormat::kCsv : FileFormat::kJson;
  auto shared = *share_file_source(source, settings);
  std::vector<BlockRef> blocks;
  std::size_t bytes = 0;
  std::size_t rows = 0;
  while (bytes < megabytes << 20) {
    auto block = std::make_shared<Block>(1 << 20);
    std::size_t n = 0;
    for (std::string line = c.line(); n + line.size() <= block->capacity(); line = c.line()) {
      std::memcpy(block->data() + n, line.data(), line.size());
      n += line.size();
      ++rows;
    }
    block->seal(n);
    bytes += n;
    blocks.push_back(std::move(block));
  }
  BlockInfo info{.path = std::make_shared<const std::string>("bench")};
  std::vector<std::string> names;
  for (const auto& f : c.fields) names.push_back(f.name);
  info.csv_header = std::make_shared<const CsvHeader>(CsvHeader::from_names(shared->layout, names));
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    CountRows out;
    double began = cpu_seconds();
    for (const BlockRef& block : blocks) FilePiece(shared, block, block->size(), info).decode(out);
    double seconds = cpu_seconds() - began;
    if (out.count != rows || out.bad) fmt::print("  wrong: {} rows of {}, {} bad\n", out.count, rows, out.bad);
    best = std::min(best, seconds);
  }
  fmt::print("{:34} {:6.1f} M rows/s  {:5.0f} MB/s  {:5.1f} ns/row  {:4} B/row\n", c.name,
             static_cast<double>(rows) / best / 1e6, static_cast<double>(bytes) / best / 1e6,
             best / static_cast<double>(rows) * 1e9, bytes / rows);
}

}  // namespace

}  // namespace thalweg

int main(int argc, char** argv) {
  using namespace thalweg;
  std::size_t megabytes = argc > 1 ? static_cast<std::size_t>(std::atoi(argv[1])) : 64;
  std::vector<plan::SourceField> bid = {field("auction", Kind::kInt), field("bidder", Kind::kInt),
                                        field("price", Kind::kInt),   field("channel", Kind::kStr),
                                        field("url", Kind::kStr),     field("dateTime", Kind::kDateTimeNaive)};
  std::vector<plan::SourceField> bid_few = bid;
  for (std::size_t i : {1U, 3U, 4U, 5U}) bid_few[i].used = false;
  std::vector<plan::SourceField> kv = {field("k", Kind::kInt), field("name", Kind::kStr), field("value", Kind::kFloat),
                                       field("flag", Kind::kBool)};
  std::vector<plan::SourceField> kv_one = kv;
  for (std::size_t i : {0U, 2U, 3U}) kv_one[i].used = false;
  measure({"jsonl wordcount", "io.jsonlines.read", wordcount_line, {field("word", Kind::kStr)}, "", false}, megabytes);
  measure({"jsonl bids, 6 of 6 fields", "io.jsonlines.read", bid_line, bid, "", false}, megabytes);
  measure({"jsonl bids, 2 of 6 fields", "io.jsonlines.read", bid_line, bid_few, "", false}, megabytes);
  measure({"csv k,name,value,flag", "io.csv.read", csv_line, kv, "", false}, megabytes);
  measure({"csv k,name,value,flag; keys", "io.csv.read", csv_line, kv, "", true}, megabytes);
  measure({"csv 1 of 4 fields", "io.csv.read", csv_line, kv_one, "", false}, megabytes);
  measure({"csv quoted", "io.csv.read", quoted_line, kv, "", false}, megabytes);
  return 0;
}
