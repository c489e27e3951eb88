#include "engine/runtime/saved_plan.h"

#include <fmt/format.h>

#include "engine/base/bytes.h"

namespace thalweg {

namespace {

using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;

constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kBytesMax = 1ULL << 30;

void put_key(std::string& out, const Key& key) {
  put_number(out, key.hi);
  put_number(out, key.lo);
}

bool take_key(std::string_view& from, Key& key) { return take_number(from, key.hi) && take_number(from, key.lo); }

std::string path_in(const std::string& directory) { return directory + "/PLAN"; }

bool decode(std::string_view from, LogPlan& plan) {
  std::uint32_t version = 0;
  std::uint64_t count = 0;
  bool read =
      take_number(from, version) && version == kVersion && take_nodes(from, plan.nodes) && take_number(from, count);
  for (std::uint64_t i = 0; read && i < count; ++i) {
    OutputPrint output;
    read = take_text(from, output.id) && take_key(from, output.print);
    plan.outputs.push_back(std::move(output));
  }
  return read && from.empty();
}

}  // namespace

std::string encode_nodes(const std::vector<SavedNode>& nodes) {
  std::string out;
  put_number<std::uint64_t>(out, nodes.size());
  for (const SavedNode& node : nodes) {
    put_key(out, node.print);
    put_key(out, node.shape);
    put_text(out, node.name);
  }
  return out;
}

bool take_nodes(std::string_view& from, std::vector<SavedNode>& nodes) {
  std::uint64_t count = 0;
  bool read = take_number(from, count);
  for (std::uint64_t i = 0; read && i < count; ++i) {
    SavedNode node;
    read = take_key(from, node.print) && take_key(from, node.shape) && take_text(from, node.name);
    nodes.push_back(std::move(node));
  }
  return read;
}

Result<void> write_log_plan(Disk& disk, const std::string& directory, const LogPlan& plan) {
  std::string out;
  put_number(out, kVersion);
  out += encode_nodes(plan.nodes);
  put_number<std::uint64_t>(out, plan.outputs.size());
  for (const OutputPrint& output : plan.outputs) {
    put_text(out, output.id);
    put_key(out, output.print);
  }
  put_number(out, bytes::checksum(out));
  return replace_file(disk, path_in(directory), out);
}

Result<std::optional<LogPlan>> read_log_plan(Disk& disk, const std::string& directory) {
  auto bytes = read_all(disk, path_in(directory), kBytesMax);
  if (!bytes && bytes.error().code == Code::kNotFound) return std::optional<LogPlan>();
  if (!bytes) return fail(std::move(bytes).error());
  std::string_view content = *bytes;
  std::uint64_t sum = 0;
  const std::size_t length = content.size() < sizeof sum ? 0 : content.size() - sizeof sum;
  std::string_view end = content.substr(length);
  content = content.substr(0, length);
  LogPlan plan;
  const bool good = take_number(end, sum) && sum == bytes::checksum(content) && decode(content, plan);
  if (good) return std::optional(std::move(plan));
  return fail(
      Error{Code::kBadData,
            fmt::format("the record of the plan, '{}', is damaged: whether the log of commits is of this pipeline "
                        "cannot be told",
                        path_in(directory)),
            {},
            {{"if the pipeline was not changed since, remove that file; else restore it from a backup", {}}}});
}

}  // namespace thalweg
