#include "connectors/kafka/position.h"

#include <charconv>

#include <fmt/format.h>

namespace thalweg::kafka {

namespace {

constexpr std::string_view kVersion = "1 ";

// Takes the text up to the next separator off the front.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view out = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return out;
}

template <class T>
bool read_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out >= 0;
}

std::unexpected<Error> broken(std::string_view text) {
  return fail(Code::kBadData, fmt::format("`{}` is no position of Kafka topics", text));
}

}  // namespace

std::string Position::to_text() const {
  std::string out(kVersion);
  out += cluster.empty() ? "-" : cluster;
  const std::string* topic = nullptr;
  for (const auto& [partition, offset] : next) {
    if (topic == nullptr || *topic != partition.topic) {
      out += ';';
      out += partition.topic;
      topic = &partition.topic;
    }
    out += fmt::format(" {}:{}", partition.id, offset);
  }
  return out;
}

Result<Position> Position::from_text(std::string_view text) {
  const std::string_view whole = text;
  if (!text.starts_with(kVersion)) return broken(whole);
  text.remove_prefix(kVersion.size());
  Position out;
  out.cluster = take(text, ';');
  if (out.cluster == "-") out.cluster.clear();
  while (!text.empty()) {
    std::string_view entry = take(text, ';');
    const std::string topic(take(entry, ' '));
    if (topic.empty()) return broken(whole);
    while (!entry.empty()) {
      std::string_view pair = take(entry, ' ');
      Partition partition{topic, 0};
      std::int64_t offset = 0;
      if (!read_number(take(pair, ':'), partition.id) || !read_number(pair, offset)) return broken(whole);
      out.next[partition] = offset;
    }
  }
  return out;
}

}  // namespace thalweg::kafka
