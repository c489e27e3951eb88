#include "connectors/file/byte_reader.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <vector>

namespace thalweg {

namespace {

constexpr std::size_t kInputBytes = 128 * 1024;

class PlainReader final : public ByteReader {
 public:
  PlainReader(ReadFile& file, std::uint64_t offset) : file_(file), offset_(offset) {}
  Result<std::size_t> read(char* into, std::size_t bytes) override {
    std::size_t n = TRY(file_.read_at(offset_, into, bytes));
    offset_ += n;
    return n;
  }

 private:
  ReadFile& file_;
  std::uint64_t offset_;
};

class GzipReader final : public ByteReader {
 public:
  GzipReader(ReadFile& file, std::string path) : file_(file), path_(std::move(path)), input_(kInputBytes) {
    constexpr int kGzipOnly = 15 + 16;
    ready_ = inflateInit2(&stream_, kGzipOnly) == Z_OK;
  }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader() override { inflateEnd(&stream_); }

  Result<std::size_t> read(char* into, std::size_t bytes) override {
    if (!ready_) return fail(Code::kInternal, "cannot start zlib");
    stream_.next_out = reinterpret_cast<Bytef*>(into);
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(bytes, 1U << 30));
    const std::size_t room = stream_.avail_out;
    while (stream_.avail_out == room) {
      if (stream_.avail_in == 0 && !TRY(fill())) {
        if (inside_member_) return broken("ends in the middle");
        return 0;
      }
      inside_member_ = true;
      int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        inside_member_ = false;
        inflateReset(&stream_);
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        return broken(stream_.msg ? stream_.msg : "is damaged");
      }
    }
    return room - stream_.avail_out;
  }

 private:
  Result<bool> fill() {
    std::size_t n = TRY(file_.read_at(offset_, input_.data(), input_.size()));
    offset_ += n;
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(n);
    return n > 0;
  }
  std::unexpected<Error> broken(std::string_view what) {
    return fail(Code::kBadData, fmt::format("'{}' is not a whole gzip file: {}", path_, what));
  }
  ReadFile& file_;
  std::string path_;
  std::vector<char> input_;
  std::uint64_t offset_ = 0;
  z_stream stream_{};
  bool ready_ = false;
  bool inside_member_ = false;
};

class ZstdReader final : public ByteReader {
 public:
  ZstdReader(ReadFile& file, std::string path)
      : file_(file), path_(std::move(path)), input_(kInputBytes), stream_(ZSTD_createDStream()) {}
  ZstdReader(const ZstdReader&) = delete;
  ZstdReader& operator=(const ZstdReader&) = delete;
  ~ZstdReader() override { ZSTD_freeDStream(stream_); }

  Result<std::size_t> read(char* into, std::size_t bytes) override {
    ZSTD_outBuffer out{into, bytes, 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size && !TRY(fill())) {
        if (inside_frame_) return broken("ends in the middle");
        return 0;
      }
      std::size_t status = ZSTD_decompressStream(stream_, &out, &in_);
      if (ZSTD_isError(status)) return broken(ZSTD_getErrorName(status));
      inside_frame_ = status != 0;
    }
    return out.pos;
  }

 private:
  Result<bool> fill() {
    std::size_t n = TRY(file_.read_at(offset_, input_.data(), input_.size()));
    offset_ += n;
    in_ = {input_.data(), n, 0};
    return n > 0;
  }
  std::unexpected<Error> broken(std::string_view what) {
    return fail(Code::kBadData, fmt::format("'{}' is not a whole zstd file: {}", path_, what));
  }
  ReadFile& file_;
  std::string path_;
  std::vector<char> input_;
  std::uint64_t offset_ = 0;
  ZSTD_DStream* stream_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool inside_frame_ = false;
};

}  // namespace

Compression compression_of(std::string_view path) {
  if (path.ends_with(".gz")) return Compression::kGzip;
  if (path.ends_with(".zst")) return Compression::kZstd;
  return Compression::kNone;
}

std::string_view without_compression(std::string_view path) {
  switch (compression_of(path)) {
    case Compression::kNone: return path;
    case Compression::kGzip: return path.substr(0, path.size() - 3);
    case Compression::kZstd: return path.substr(0, path.size() - 4);
  }
  return path;
}

std::unique_ptr<ByteReader> open_bytes(ReadFile& file, const std::string& path, Compression compression,
                                       std::uint64_t offset) {
  switch (compression) {
    case Compression::kNone: break;
    case Compression::kGzip: return std::make_unique<GzipReader>(file, path);
    case Compression::kZstd: return std::make_unique<ZstdReader>(file, path);
  }
  return std::make_unique<PlainReader>(file, offset);
}

}  // namespace thalweg
