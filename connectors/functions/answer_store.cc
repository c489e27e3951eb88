#include "connectors/functions/answer_store.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include <fmt/format.h>

#include "engine/base/bytes.h"

namespace thalweg::functions {

namespace {

constexpr std::size_t kAnswerKeyBytes = 32;
constexpr std::size_t kAnswerHeadBytes = sizeof(std::uint32_t) + kAnswerKeyBytes;
constexpr std::size_t kAnswerTailBytes = sizeof(std::uint64_t);
constexpr std::uint32_t kAnswerBytesMax = 16U << 20;
constexpr std::string_view kAnswerEnding = ".answers";

std::optional<std::uint64_t> file_number(std::string_view name) {
  if (!name.ends_with(kAnswerEnding)) return std::nullopt;
  name.remove_suffix(kAnswerEnding.size());
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return out;
}

}  // namespace

Result<std::shared_ptr<AnswerStore>> AnswerStore::at(const std::shared_ptr<Disk>& disk, const std::string& directory) {
  static std::mutex mutex;
  static std::map<std::pair<const Disk*, std::string>, std::weak_ptr<AnswerStore>> open_ones;
  const std::lock_guard lock(mutex);
  std::erase_if(open_ones, [](const auto& one) { return one.second.expired(); });
  std::weak_ptr<AnswerStore>& known = open_ones[{disk.get(), directory}];
  if (auto store = known.lock()) return store;
  std::shared_ptr<AnswerStore> made(new AnswerStore(disk, directory));
  TRY(made->open());
  known = made;
  return made;
}

std::string AnswerStore::path_of(std::uint64_t number) const {
  return fmt::format("{}/{:08}{}", directory_, number, kAnswerEnding);
}

Result<void> AnswerStore::open() {
  const std::lock_guard lock(mutex_);
  TRY(disk_->make_directories(directory_));
  lock_ = TRY(disk_->lock(directory_ + "/LOCK"));
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : TRY(disk_->list(directory_)))
    if (const auto number = file_number(name)) numbers.push_back(*number);
  std::ranges::sort(numbers);
  for (const std::uint64_t number : numbers) TRY(read_file(number));
  if (files_.empty()) return begin_file();
  writer_ = TRY(disk_->open_write(path_of(files_.back().number), Disk::WriteMode::kAppend));
  if (TRY(writer_->size()) > files_.back().bytes) TRY(writer_->truncate(files_.back().bytes));
  return {};
}

// Later answers to one question win; what does not fit its checksum is the end.
Result<void> AnswerStore::read_file(std::uint64_t number) {
  File file{number, 0, TRY(disk_->open_read(path_of(number)))};
  const std::uint64_t size = TRY(file.reader->stat()).size;
  std::string record;
  while (file.bytes + kAnswerHeadBytes + kAnswerTailBytes <= size) {
    record.resize(kAnswerHeadBytes);
    if (TRY(file.reader->read_at(file.bytes, record.data(), kAnswerHeadBytes)) < kAnswerHeadBytes) break;
    std::uint32_t bytes = 0;
    std::string_view head = record;
    if (!bytes::take_number(head, bytes) || bytes > kAnswerBytesMax ||
        file.bytes + kAnswerHeadBytes + bytes + kAnswerTailBytes > size)
      break;
    const std::string key(head);
    const std::size_t rest = bytes + kAnswerTailBytes;
    record.resize(kAnswerHeadBytes + rest);
    if (TRY(file.reader->read_at(file.bytes + kAnswerHeadBytes, record.data() + kAnswerHeadBytes, rest)) < rest) break;
    std::string_view tail = std::string_view(record).substr(kAnswerHeadBytes + bytes);
    std::uint64_t sum = 0;
    if (!bytes::take_number(tail, sum) ||
        sum != bytes::checksum(std::string_view(record).substr(0, kAnswerHeadBytes + bytes)))
      break;
    places_[key] = {number, file.bytes + kAnswerHeadBytes, bytes};
    file.bytes += kAnswerHeadBytes + rest;
  }
  files_.push_back(std::move(file));
  return {};
}

Result<void> AnswerStore::begin_file() {
  const std::uint64_t number = files_.empty() ? 1 : files_.back().number + 1;
  writer_ = TRY(disk_->open_write(path_of(number), Disk::WriteMode::kTruncate));
  files_.push_back({number, 0, TRY(disk_->open_read(path_of(number)))});
  while (files_.size() > kBytesMax / kFileBytes) {
    const std::uint64_t oldest = files_.front().number;
    std::erase_if(places_, [&](const auto& one) { return one.second.file == oldest; });
    files_.erase(files_.begin());
    TRY(disk_->remove(path_of(oldest)));
  }
  return {};
}

std::optional<std::string> AnswerStore::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(key);
  if (place == places_.end()) return std::nullopt;
  const auto file = std::ranges::find(files_, place->second.file, &File::number);
  if (file == files_.end()) return std::nullopt;
  std::string out(place->second.bytes, '\0');
  std::size_t have = 0;
  while (have < out.size()) {
    const auto got = file->reader->read_at(place->second.offset + have, out.data() + have, out.size() - have);
    if (!got || *got == 0) return std::nullopt;
    have += *got;
  }
  return out;
}

void AnswerStore::put(const std::string& key, std::string_view answer) {
  if (answer.size() > kAnswerBytesMax || key.size() != kAnswerKeyBytes) return;
  std::string record;
  record.reserve(kAnswerHeadBytes + answer.size() + kAnswerTailBytes);
  bytes::put_number(record, static_cast<std::uint32_t>(answer.size()));
  record += key;
  record += answer;
  bytes::put_number(record, bytes::checksum(record));
  const std::lock_guard lock(mutex_);
  if (places_.contains(key)) return;
  if (files_.empty() || files_.back().bytes + record.size() > kFileBytes)
    if (!begin_file()) return;
  File& file = files_.back();
  if (!writer_->append(record)) {  // a full disk, say: what was written of it is not there
    (void)writer_->truncate(file.bytes);
    return;
  }
  places_[key] = {file.number, file.bytes + kAnswerHeadBytes, static_cast<std::uint32_t>(answer.size())};
  file.bytes += record.size();
}

// ---------------------------------------------------------------- places

void AnswerPlace::keep_at(std::shared_ptr<Disk> disk, std::string directory) {
  const std::lock_guard lock(mutex_);
  disk_ = std::move(disk);
  directory_ = std::move(directory);
}

std::shared_ptr<AnswerStore> AnswerPlace::store() {
  const std::lock_guard lock(mutex_);
  if (tried_ || !disk_) return store_;
  tried_ = true;
  if (auto opened = AnswerStore::at(disk_, directory_)) store_ = std::move(*opened);
  return store_;
}

namespace {

thread_local NewAnswerPlaces* collecting = nullptr;

}  // namespace

NewAnswerPlaces::NewAnswerPlaces() : outer_(std::exchange(collecting, this)) {}
NewAnswerPlaces::~NewAnswerPlaces() { collecting = outer_; }

void NewAnswerPlaces::add(const std::shared_ptr<AnswerPlace>& place) {
  if (collecting != nullptr) collecting->places_.push_back(place);
}

void NewAnswerPlaces::keep_at(const std::shared_ptr<Disk>& disk, const std::string& state_directory) {
  for (const auto& place : places_) place->keep_at(disk, state_directory + "/answers");
}

}  // namespace thalweg::functions
