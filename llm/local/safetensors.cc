#include "llm/local/safetensors.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace thalweg::llm {

namespace {

constexpr std::size_t kHeaderMax = std::size_t{100} << 20;

std::size_t width_of(const std::string& kind) {
  if (kind == "F32") return 4;
  return kind == "F16" || kind == "BF16" ? 2 : 0;
}

float from_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1F, fraction = half & 0x3FF;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) / 16777216.0F;  // 2^-24 each
  return sign != 0 ? -small : small;
}

}  // namespace

struct Safetensors::Mapping {
  void* memory = nullptr;
  std::size_t size = 0;
  Mapping(void* at, std::size_t bytes) : memory(at), size(bytes) {}
  ~Mapping() { ::munmap(memory, size); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
};

Result<Safetensors> Safetensors::open(const std::string& path) {
  const auto broken = [&](const std::string& what) {
    return fail(Code::kBadData, fmt::format("{} is no file of weights (safetensors): {}", path, what));
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail(Code::kNotFound, fmt::format("{}: {}", path, std::strerror(errno)));
  struct stat status = {};
  const bool known = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  const auto size = known ? static_cast<std::size_t>(status.st_size) : 0;
  void* const memory = size < 8 ? MAP_FAILED : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) return broken("it is too short or cannot be mapped");
  Safetensors out;
  out.path_ = path;
  out.mapping_ = std::make_shared<const Mapping>(memory, size);
  const std::string_view all(static_cast<const char*>(memory), size);
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, all.data(), sizeof header_size);
  if (header_size > kHeaderMax || header_size > size - 8) return broken("its header is longer than it");
  const nlohmann::json header = nlohmann::json::parse(all.substr(8, header_size), nullptr, false);
  if (!header.is_object()) return broken("its header is no JSON object");
  out.data_ = all.substr(8 + header_size);
  for (const auto& [name, about] : header.items()) {
    if (name == "__metadata__") continue;
    Entry entry;
    if (!about.is_object() || !about.contains("dtype") || !about["dtype"].is_string() || !about.contains("shape") ||
        !about["shape"].is_array() || !about.contains("data_offsets") || !about["data_offsets"].is_array() ||
        about["data_offsets"].size() != 2)
      return broken("what it says of `" + name + "` is incomplete");
    entry.kind = about["dtype"].get<std::string>();
    entry.count = 1;
    for (const nlohmann::json& extent : about["shape"]) {
      if (!extent.is_number_unsigned()) return broken("the shape of `" + name + "` is none");
      entry.shape.push_back(extent.get<std::size_t>());
      if (__builtin_mul_overflow(entry.count, entry.shape.back(), &entry.count))
        return broken("`" + name + "` is huge");
    }
    const nlohmann::json& offsets = about["data_offsets"];
    if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) return broken("its offsets are none");
    entry.begin = offsets[0].get<std::size_t>();
    entry.end = offsets[1].get<std::size_t>();
    if (entry.begin > entry.end || entry.end > out.data_.size()) return broken("`" + name + "` lies outside of it");
    const std::size_t width = width_of(entry.kind);
    if (width != 0 && (entry.end - entry.begin) / width != entry.count)
      return broken("`" + name + "` has another size");
    out.entries_.emplace(name, std::move(entry));
  }
  return out;
}

std::string Safetensors::first_of(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names)
    if (has(std::string(name))) return std::string(name);
  return {};
}

Result<Safetensors::Tensor> Safetensors::read(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return fail(Code::kBadData, fmt::format("{} has no `{}`", path_, name));
  const Entry& entry = it->second;
  if (width_of(entry.kind) == 0)
    return fail(Code::kInvalidArgument,
                fmt::format("`{}` in {} is of {}; weights are F32, F16 or BF16", name, path_, entry.kind));
  Tensor out;
  out.shape = entry.shape;
  out.numbers.resize(entry.count);
  const char* const from = data_.data() + entry.begin;
  if (entry.kind == "F32") {
    std::memcpy(out.numbers.data(), from, entry.count * sizeof(float));
    return out;
  }
  for (std::size_t i = 0; i < entry.count; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, from + 2 * i, sizeof bits);
    out.numbers[i] =
        entry.kind == "F16" ? from_half(bits) : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  return out;
}

Result<std::vector<float>> Safetensors::read(const std::string& name, std::initializer_list<std::size_t> shape) const {
  Tensor tensor = TRY(read(name));
  if (!std::ranges::equal(tensor.shape, shape))
    return fail(Code::kBadData, fmt::format("`{}` in {} has another shape than its config.json says", name, path_));
  return std::move(tensor.numbers);
}

}  // namespace thalweg::llm
