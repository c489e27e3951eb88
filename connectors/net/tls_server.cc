#include "connectors/net/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <climits>

#include "connectors/net/tls_reason.h"

namespace thalweg::net {
namespace {

int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_bytes, const unsigned char* in,
                    unsigned in_bytes, void* /*unused*/) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (::SSL_select_next_proto(&chosen, out_bytes, kOurs, sizeof kOurs - 1, in, in_bytes) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

struct TlsContext::Impl {
  struct Free {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context;
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::make(const TlsServerOptions& options) {
  auto impl = std::make_unique<Impl>();
  ::ERR_clear_error();
  impl->context.reset(::SSL_CTX_new(::TLS_server_method()));
  SSL_CTX* context = impl->context.get();
  if (context == nullptr) return fail(Code::kInternal, tls_reason());
  ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  ::SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  ::SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  const auto wrong = [](const std::string& what, const std::string& path) {
    return fail(Code::kInvalidArgument, "cannot use the " + what + " in '" + path + "': " + tls_reason());
  };
  if (::SSL_CTX_use_certificate_chain_file(context, options.cert.c_str()) != 1)
    return wrong("certificate", options.cert);
  const std::string& key = options.key.empty() ? options.cert : options.key;
  if (::SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) return wrong("private key", key);
  if (::SSL_CTX_check_private_key(context) != 1) return wrong("private key, which is not of the certificate,", key);
  if (!options.client_ca.empty()) {
    if (::SSL_CTX_load_verify_locations(context, options.client_ca.c_str(), nullptr) != 1)
      return wrong("authorities of clients", options.client_ca);
    ::SSL_CTX_set_client_CA_list(context, ::SSL_load_client_CA_file(options.client_ca.c_str()));
    ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    static constexpr unsigned char kName[] = "thalweg";
    ::SSL_CTX_set_session_id_context(context, kName, sizeof kName - 1);
  }
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

struct TlsSession::Impl {
  struct Free {
    void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  };
  std::shared_ptr<TlsContext> context;
  std::unique_ptr<SSL, Free> ssl;
  BIO* in = nullptr;  // owned by ssl
  BIO* out = nullptr;
};

TlsSession::TlsSession(std::shared_ptr<TlsContext> context) : impl_(std::make_unique<Impl>()) {
  impl_->context = std::move(context);
  impl_->ssl.reset(::SSL_new(impl_->context->impl_->context.get()));
  impl_->in = ::BIO_new(::BIO_s_mem());
  impl_->out = ::BIO_new(::BIO_s_mem());
  ::BIO_set_mem_eof_return(impl_->in, -1);
  ::SSL_set_bio(impl_->ssl.get(), impl_->in, impl_->out);
  ::SSL_set_accept_state(impl_->ssl.get());
}
TlsSession::~TlsSession() = default;

void TlsSession::feed(std::string_view wire) {
  ::BIO_write(impl_->in, wire.data(), static_cast<int>(std::min<std::size_t>(wire.size(), INT_MAX)));
}

TlsSession::Read TlsSession::read(char* into, std::size_t bytes) {
  ::ERR_clear_error();
  const int n = ::SSL_read(impl_->ssl.get(), into, static_cast<int>(std::min<std::size_t>(bytes, INT_MAX)));
  if (n > 0) return {static_cast<std::size_t>(n), State::kOpen};
  switch (::SSL_get_error(impl_->ssl.get(), n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {};
    case SSL_ERROR_ZERO_RETURN: return {0, State::kClosed};
    default: return {0, State::kFailed};
  }
}

bool TlsSession::write(std::string_view plain) {
  while (!plain.empty()) {
    ::ERR_clear_error();
    const int n =
        ::SSL_write(impl_->ssl.get(), plain.data(), static_cast<int>(std::min<std::size_t>(plain.size(), INT_MAX)));
    if (n <= 0) return false;
    plain.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void TlsSession::close() {
  ::ERR_clear_error();
  if (::SSL_is_init_finished(impl_->ssl.get()) == 1) ::SSL_shutdown(impl_->ssl.get());
}

std::string TlsSession::take_output() {
  std::string out(::BIO_ctrl_pending(impl_->out), '\0');
  if (!out.empty()) {
    const int n = ::BIO_read(impl_->out, out.data(), static_cast<int>(out.size()));
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  }
  return out;
}

bool TlsSession::is_established() const { return ::SSL_is_init_finished(impl_->ssl.get()) == 1; }

}  // namespace thalweg::net
