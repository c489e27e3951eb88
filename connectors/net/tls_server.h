// connectors/net/tls_server.h
//
// The server's side of TLS without any input or output: bytes of the wire go in and come out, as the connection's state
// machine likes. TLS 1.2 and up, no renegotiation. OpenSSL ends in the .cc file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace thalweg::net {

struct TlsServerOptions {
  std::string cert;       // PEM: the certificate, then those that lead to its authority
  std::string key;        // PEM
  std::string client_ca;  // PEM; not empty: only clients with a certificate of these authorities
  [[nodiscard]] bool enabled() const { return !cert.empty(); }
};

// Certificates, read once. Connections that use them keep them alive. Threads  any.
class TlsContext {
 public:
  // kInvalidArgument: names the file that cannot be read or does not fit.
  [[nodiscard]] static Result<std::shared_ptr<TlsContext>> make(const TlsServerOptions& options);
  ~TlsContext();

 private:
  friend class TlsSession;
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// One connection. Threads  one at a time.
class TlsSession {
 public:
  explicit TlsSession(std::shared_ptr<TlsContext> context);
  ~TlsSession();

  void feed(std::string_view wire);  // from the peer
  enum class State : std::uint8_t { kOpen, kClosed, kFailed };
  struct Read {
    std::size_t bytes = 0;  // 0 and open: more of the wire is needed
    State state = State::kOpen;
  };
  [[nodiscard]] Read read(char* into, std::size_t bytes);  // plain bytes; does the handshake meanwhile
  [[nodiscard]] bool write(std::string_view plain);        // false: broken
  void close();                                            // says goodbye
  [[nodiscard]] std::string take_output();                 // for the peer
  [[nodiscard]] bool is_established() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace thalweg::net
