#include "tests/connectors/collect.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/decode.h"
#include "connectors/registry.h"

namespace thalweg::testing {

namespace fs = std::filesystem;

TempDir::TempDir() {
  std::string pattern = (fs::temp_directory_path() / "thalweg-test-XXXXXX").string();
  root_ = mkdtemp(pattern.data());
}
TempDir::~TempDir() { fs::remove_all(root_); }

std::string TempDir::write(const std::string& name, const std::string& content) const {
  fs::create_directories(fs::path(path(name)).parent_path());
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}
void TempDir::append(const std::string& name, const std::string& content) const {
  std::ofstream(path(name), std::ios::binary | std::ios::app) << content;
}
std::string TempDir::read(const std::string& name) const {
  std::ifstream in(path(name), std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}
bool TempDir::exists(const std::string& name) const { return fs::exists(path(name)); }
std::vector<std::string> TempDir::names() const {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(root_)) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

void Rows::rows(Batch batch) {
  ++batches;
  batch.materialise_keys();
  for (std::size_t i = 0; i < batch.num_rows; ++i) {
    Row row{batch.keys.absent() ? Key{} : batch.keys[i], batch.diff(i), {}};
    REQUIRE(batch.columns.size() == types_.size());
    for (std::size_t c = 0; c < types_.size(); ++c) {
      REQUIRE(batch.columns[c].size() == batch.num_rows);
      if (c) row.text += '|';
      row.text += batch.columns[c].value(types_[c], i).to_text();
    }
    all.push_back(std::move(row));
  }
}

std::vector<std::string> Rows::texts() const {
  std::vector<std::string> out;
  for (const Row& row : all) out.push_back((row.diff == 1 ? "" : std::to_string(row.diff) + " ") + row.text);
  return out;
}
std::vector<std::string> Rows::messages() const {
  std::vector<std::string> out;
  for (const BadRecord& record : bad) out.push_back(record.position + ": " + record.message);
  return out;
}

plan::SourceField field(std::string name, Type type) {
  plan::SourceField f;
  f.name = f.external_name = std::move(name);
  f.type = std::move(type);
  return f;
}
plan::SourceField key_field(std::string name, Type type) {
  plan::SourceField f = field(std::move(name), std::move(type));
  f.primary_key = true;
  return f;
}
std::vector<Type> types_of(const plan::Source& source) {
  std::vector<Type> out;
  for (const auto& f : source.fields)
    if (f.used) out.push_back(f.type);
  return out;
}

Rows decode_text(const RecordDecoder& decoder, const plan::Source& source, const std::string& text, BlockInfo info) {
  auto block = std::make_shared<Block>(text.size());
  std::memcpy(block->data(), text.data(), text.size());
  block->seal(text.size());
  if (!info.path) info.path = std::make_shared<const std::string>("f");
  Rows rows(types_of(source));
  BadRowPolicy policy(BadRowPolicy::Action::kLog);
  Reporter report(rows, policy);
  decoder.decode(block, info, report);
  return rows;
}

bool CollectContext::deliver(std::unique_ptr<Piece> piece) {
  ++pieces;
  piece->decode(rows);
  return !stop;
}
bool CollectContext::deliver(Batch batch) {
  rows.rows(std::move(batch));
  return !stop;
}
void CollectContext::commit(std::string position) {
  ++commits;
  positions.push_back(position);
  position_ = std::move(position);
}
bool CollectContext::wait(std::int64_t /*ns*/, int /*wake_fd*/) {
  if (on_wait)
    on_wait(*this, rounds_++);
  else
    stop = true;
  return !stop;
}
std::map<std::string, int> CollectContext::net() const {
  std::map<std::string, int> out;
  for (const Row& row : rows.all) out[row.text] += row.diff;
  std::erase_if(out, [](const auto& entry) { return entry.second == 0; });
  return out;
}

Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env& env) {
  return make_connector_factory()->make_source(source, env);
}
Setting args(std::initializer_list<std::pair<std::string, Setting>> entries) { return Setting(Setting::Map(entries)); }
Setting text(std::string value) { return Setting(std::move(value)); }
Setting decoded(const std::string& connector, const Setting& given) {
  const ConnectorDescriptor* found = find_connector(connector);
  REQUIRE(found);
  std::vector<Error> errors;
  Setting out = config::decode(given, found->spec.options, {.what = "`" + connector + "`"}, errors);
  for (const Error& error : errors) FAIL(error.message);
  return out;
}

}  // namespace thalweg::testing
