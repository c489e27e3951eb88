#include "connectors/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>

#include "connectors/net/steady_ms.h"
#include "connectors/net/tls_reason.h"

namespace thalweg::net {

std::string tls_reason() {
  std::string text = "TLS failed";
  for (unsigned long code; (code = ::ERR_get_error()) != 0;)
    if (const char* words = ::ERR_reason_error_string(code)) text = words;
  return text;
}

namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};
struct FreeSsl {
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;

Result<Context> make_context(const TlsOptions& options) {
  Context context(::SSL_CTX_new(::TLS_client_method()));
  if (!context) return fail(Code::kInternal, tls_reason());
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);  // HTTP says itself where a message ends
  ::SSL_CTX_set_default_verify_paths(context.get());
  if (!options.ca_file.empty() && ::SSL_CTX_load_verify_locations(context.get(), options.ca_file.c_str(), nullptr) != 1)
    return fail(Code::kInvalidArgument, "cannot read the certificates in '" + options.ca_file + "': " + tls_reason());
  if (!options.cert_file.empty()) {
    const std::string& key = options.key_file.empty() ? options.cert_file : options.key_file;
    if (::SSL_CTX_use_certificate_chain_file(context.get(), options.cert_file.c_str()) != 1 ||
        ::SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
      return fail(Code::kInvalidArgument, "cannot use the certificate in '" + options.cert_file + "': " + tls_reason());
  }
  ::SSL_CTX_set_verify(context.get(), options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  return context;
}

bool is_ip_address(const std::string& host) {
  ASN1_OCTET_STRING* address = ::a2i_IPADDRESS(host.c_str());
  if (address == nullptr) return false;
  ::ASN1_OCTET_STRING_free(address);
  return true;
}

}  // namespace

struct TlsStream::Impl {
  Context context;
  std::unique_ptr<SSL, FreeSsl> ssl;

  // What a call that moved nothing waits for.
  Result<Moved> outcome(int result) {
    switch (::SSL_get_error(ssl.get(), result)) {
      case SSL_ERROR_WANT_READ: return Moved{0, Wait::kRead};
      case SSL_ERROR_WANT_WRITE: return Moved{0, Wait::kWrite};
      case SSL_ERROR_ZERO_RETURN: return Moved{};
      case SSL_ERROR_SYSCALL:
        if (errno == 0) return Moved{};
        return fail(Code::kUnavailable, std::string("the connection broke: ") + std::strerror(errno));
      default: break;
    }
    const long verdict = ::SSL_get_verify_result(ssl.get());
    if (verdict != X509_V_OK)
      return fail(Code::kUnavailable,
                  std::string("the certificate is refused: ") + ::X509_verify_cert_error_string(verdict));
    return fail(Code::kUnavailable, tls_reason());
  }
};

TlsStream::TlsStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsStream::~TlsStream() = default;

Result<std::unique_ptr<TlsStream>> TlsStream::connect(int fd, const TlsOptions& options, std::int64_t deadline_ms) {
  auto impl = std::make_unique<Impl>();
  impl->context = TRY(make_context(options));
  impl->ssl.reset(::SSL_new(impl->context.get()));
  SSL* ssl = impl->ssl.get();
  if (ssl == nullptr || ::SSL_set_fd(ssl, fd) != 1) return fail(Code::kInternal, tls_reason());
  if (is_ip_address(options.host)) {
    ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl), options.host.c_str());
  } else {
    ::SSL_set_tlsext_host_name(ssl, options.host.c_str());
    ::SSL_set1_host(ssl, options.host.c_str());
  }
  while (true) {
    ::ERR_clear_error();
    errno = 0;
    const int result = ::SSL_connect(ssl);
    if (result == 1) return std::unique_ptr<TlsStream>(new TlsStream(std::move(impl)));
    const Moved moved = TRY(impl->outcome(result));
    if (moved.wait == Wait::kNone)
      return fail(Code::kUnavailable, "the server closed the connection during the TLS handshake");
    const std::int64_t left = deadline_ms - now_ms();
    if (left <= 0) return fail(Code::kCancelled, "the server took too long");
    pollfd poll_fd{fd, static_cast<short>(moved.wait == Wait::kRead ? POLLIN : POLLOUT), 0};
    ::poll(&poll_fd, 1, static_cast<int>(std::min<std::int64_t>(left, INT_MAX)));
  }
}

Result<TlsStream::Moved> TlsStream::read(char* into, std::size_t bytes) {
  ::ERR_clear_error();
  errno = 0;
  const int n = ::SSL_read(impl_->ssl.get(), into, static_cast<int>(std::min<std::size_t>(bytes, INT_MAX)));
  if (n > 0) return Moved{static_cast<std::size_t>(n), Wait::kNone};
  return impl_->outcome(n);
}

Result<TlsStream::Moved> TlsStream::write(std::string_view bytes) {
  ::ERR_clear_error();
  errno = 0;
  const int n =
      ::SSL_write(impl_->ssl.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX)));
  if (n > 0) return Moved{static_cast<std::size_t>(n), Wait::kNone};
  const Moved moved = TRY(impl_->outcome(n));
  if (moved.wait == Wait::kNone) return fail(Code::kUnavailable, "the connection broke");
  return moved;
}

}  // namespace thalweg::net
