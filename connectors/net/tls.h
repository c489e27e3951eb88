// connectors/net/tls.h
//
// The client's side of TLS over a connected, non-blocking socket. OpenSSL ends in the .cc file.
// Threads  one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace thalweg::net {

struct TlsOptions {
  std::string host;                 // what the certificate must be for; empty: the host of the address
  std::string ca_file;              // PEM, beside the system's authorities
  std::string cert_file, key_file;  // ours, PEM, where the server asks for it
  bool verify = true;
};

class TlsStream {
 public:
  // kUnavailable: the certificate is not trusted or not for this host, or the other side speaks no TLS.
  [[nodiscard]] static Result<std::unique_ptr<TlsStream>> connect(int fd, const TlsOptions& options,
                                                                  std::int64_t deadline_ms);
  ~TlsStream();

  enum class Wait : std::uint8_t { kNone, kRead, kWrite };
  struct Moved {
    std::size_t bytes = 0;  // 0 without a wait: the peer has closed
    Wait wait = Wait::kNone;
  };
  [[nodiscard]] Result<Moved> read(char* into, std::size_t bytes);
  [[nodiscard]] Result<Moved> write(std::string_view bytes);

 private:
  struct Impl;
  explicit TlsStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace thalweg::net
