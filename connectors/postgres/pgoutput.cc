#include "connectors/postgres/pgoutput.h"

#include <charconv>

#include <fmt/format.h>

namespace thalweg::postgres {

std::string lsn_text(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xFFFFFFFF); }

std::optional<Lsn> lsn_from_text(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  const auto part = [](std::string_view digits, std::uint32_t& out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (!part(text.substr(0, slash), high) || !part(text.substr(slash + 1), low)) return std::nullopt;
  return (static_cast<Lsn>(high) << 32) | low;
}

std::string_view MessageReader::take(std::size_t bytes) {
  if (bytes > left_.size()) {
    ok_ = false;
    left_ = {};
    return {};
  }
  const std::string_view out = left_.substr(0, bytes);
  left_.remove_prefix(bytes);
  return out;
}

char MessageReader::letter() {
  const auto bytes = take(1);
  return bytes.empty() ? '\0' : bytes[0];
}

std::int16_t MessageReader::int16() {
  const auto bytes = take(2);
  return bytes.empty() ? std::int16_t{0} : load_be<std::int16_t>(bytes.data());
}

std::int32_t MessageReader::int32() {
  const auto bytes = take(4);
  return bytes.empty() ? 0 : load_be<std::int32_t>(bytes.data());
}

std::int64_t MessageReader::int64() {
  const auto bytes = take(8);
  return bytes.empty() ? 0 : load_be<std::int64_t>(bytes.data());
}

std::string_view MessageReader::text() {
  const std::size_t end = left_.find('\0');
  if (end == std::string_view::npos) {
    ok_ = false;
    left_ = {};
    return {};
  }
  const auto out = take(end);
  (void)take(1);
  return out;
}

std::optional<Begin> read_begin(std::string_view message) {
  MessageReader read(message);
  (void)read.letter();
  Begin out;
  out.final = static_cast<Lsn>(read.int64());
  out.committed_us = read.int64();
  out.transaction = static_cast<std::uint32_t>(read.int32());
  return read.ok() ? std::optional(out) : std::nullopt;
}

std::optional<Commit> read_commit(std::string_view message) {
  MessageReader read(message);
  (void)read.letter();
  (void)read.letter();  // flags
  Commit out;
  out.lsn = static_cast<Lsn>(read.int64());
  out.end = static_cast<Lsn>(read.int64());
  (void)read.int64();
  return read.ok() ? std::optional(out) : std::nullopt;
}

std::optional<Relation> read_relation(std::string_view message) {
  MessageReader read(message);
  (void)read.letter();
  Relation out;
  out.oid = static_cast<Oid>(read.int32());
  out.schema = read.text();
  if (out.schema.empty()) out.schema = "pg_catalog";
  out.table = read.text();
  out.replica_identity = read.letter();
  const int count = read.int16();
  for (int i = 0; i < count && read.ok(); ++i) {
    RelationColumn column;
    column.in_key = (read.letter() & 1) != 0;
    column.name = read.text();
    column.type = static_cast<Oid>(read.int32());
    (void)read.int32();  // the type's modifier
    out.columns.push_back(std::move(column));
  }
  return read.ok() ? std::optional(std::move(out)) : std::nullopt;
}

Oid relation_of(std::string_view message) {
  return message.size() >= 5 ? static_cast<Oid>(load_be<std::int32_t>(message.data() + 1)) : 0;
}

std::vector<Oid> read_truncate(std::string_view message) {
  MessageReader read(message);
  (void)read.letter();
  const int count = read.int32();
  (void)read.letter();  // options
  std::vector<Oid> out;
  for (int i = 0; i < count && read.ok(); ++i) out.push_back(static_cast<Oid>(read.int32()));
  return out;
}

namespace {

bool read_row(MessageReader& read, const std::vector<std::uint32_t>& columns, std::vector<RawField>& all,
              std::vector<RawField>& out) {
  const int count = read.int16();
  if (count < 0) return false;
  all.assign(static_cast<std::size_t>(count), RawField{});
  for (RawField& field : all) {
    switch (read.letter()) {
      case 'n': break;
      case 'u': field.state = RawField::State::kUnchanged; break;
      case 'b':
      case 't': {
        const std::int32_t bytes = read.int32();
        if (bytes < 0) return false;
        field = {RawField::State::kBytes, read.take(static_cast<std::size_t>(bytes))};
        break;
      }
      default: return false;
    }
  }
  out.resize(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] >= all.size()) return false;
    out[i] = all[columns[i]];
  }
  return read.ok();
}

}  // namespace

bool read_change(std::string_view message, const std::vector<std::uint32_t>& columns, Change& out) {
  MessageReader read(message);
  out.kind = read.letter();
  (void)read.int32();
  out.old_kind = '\0';
  std::vector<RawField> all;
  char part = read.letter();
  if (part == 'K' || part == 'O') {
    out.old_kind = part;
    if (!read_row(read, columns, all, out.old_row)) return false;
    if (out.kind == 'D') return true;
    part = read.letter();
  }
  if (out.kind == 'D' || part != 'N') return false;
  return read_row(read, columns, all, out.new_row);
}

}  // namespace thalweg::postgres
