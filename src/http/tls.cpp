// TLS by OpenSSL over a transport of ours.
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "http/transport.hpp"

namespace compose::http {

namespace {

/// Where distributions keep the CAs, for a statically linked OpenSSL that was built for another one.
constexpr const char* kBundles[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                    "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

std::string openssl_error() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ::ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("error {:#x}", code);
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

class TlsTransport : public Transport {
 public:
  TlsTransport(TransportPtr below, std::shared_ptr<TlsContext> context, SSL_CTX* settings)
      : below_{std::move(below)}, context_{std::move(context)}, ssl_{::SSL_new(settings)} {
    BIO* bio = ::BIO_new(method());
    ::BIO_set_data(bio, this);
    ::BIO_set_init(bio, 1);
    ::SSL_set_bio(ssl_, bio, bio);
  }
  ~TlsTransport() override { ::SSL_free(ssl_); }

  Result<void> handshake(const std::string& host, bool verify) {
    if (is_address(host)) {
      ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl_), host.c_str());
    } else {
      ::SSL_set_tlsext_host_name(ssl_, host.c_str());
      ::SSL_set1_host(ssl_, host.c_str());
    }
    ::ERR_clear_error();
    if (::SSL_connect(ssl_) == 1) return {};
    if (error_) return *std::exchange(error_, std::nullopt);
    const long trust = ::SSL_get_verify_result(ssl_);
    if (verify && trust != X509_V_OK) {
      ::ERR_clear_error();
      return make_error(Errc::permission, "the certificate of \"{}\" cannot be trusted: {}", host,
                        ::X509_verify_cert_error_string(trust));
    }
    const unsigned long code = ::ERR_peek_error();
    if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER || ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST) {
      ::ERR_clear_error();
      return make_error(Errc::unsupported, "\"{}\" does not speak TLS", host);
    }
    return make_error(Errc::failed, "TLS with \"{}\": {}", host, openssl_error());
  }

  Result<std::size_t> read(char* buffer, std::size_t size) override {
    std::size_t got = 0;
    ::ERR_clear_error();
    if (::SSL_read_ex(ssl_, buffer, size, &got) == 1) return got;
    if (error_) return *std::exchange(error_, std::nullopt);
    const int status = ::SSL_get_error(ssl_, 0);
    if (status == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
    // Many servers close without TLS's own goodbye; HTTP's framing tells whether something is missing.
    if (ended_) return std::size_t{0};
    return make_error(Errc::failed, "receive: TLS: {}", openssl_error());
  }

  Result<void> write(std::string_view bytes) override {
    while (!bytes.empty()) {
      std::size_t count = 0;
      ::ERR_clear_error();
      if (::SSL_write_ex(ssl_, bytes.data(), bytes.size(), &count) != 1) {
        if (error_) return *std::exchange(error_, std::nullopt);
        return make_error(Errc::failed, "send: TLS: {}", openssl_error());
      }
      bytes.remove_prefix(count);
    }
    return {};
  }

  bool usable() const override { return ::SSL_pending(ssl_) == 0 && below_->usable(); }

 private:
  static TlsTransport& self(BIO* bio) { return *static_cast<TlsTransport*>(::BIO_get_data(bio)); }
  static int bio_write(BIO* bio, const char* data, int size) {
    TlsTransport& transport = self(bio);
    Result<void> written = transport.below_->write({data, static_cast<std::size_t>(size)});
    if (written) return size;
    transport.error_ = std::move(written).error();
    return -1;
  }
  static int bio_read(BIO* bio, char* buffer, int size) {
    TlsTransport& transport = self(bio);
    Result<std::size_t> got = transport.below_->read(buffer, static_cast<std::size_t>(size));
    if (!got) {
      transport.error_ = std::move(got).error();
      return -1;
    }
    transport.ended_ = *got == 0;
    return static_cast<int>(*got);
  }
  static long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
  static BIO_METHOD* method() {
    static BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transport");
      ::BIO_meth_set_write(made, &bio_write);
      ::BIO_meth_set_read(made, &bio_read);
      ::BIO_meth_set_ctrl(made, &bio_control);
      return made;
    }();
    return kMethod;
  }

  TransportPtr below_;
  std::shared_ptr<TlsContext> context_;
  SSL* ssl_;
  std::optional<Error> error_;  ///< of the transport below, carried through OpenSSL
  bool ended_ = false;
};

}  // namespace

TlsContext::~TlsContext() { ::SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

Result<std::shared_ptr<TlsContext>> TlsContext::create(const TlsSettings& settings) {
  std::shared_ptr<TlsContext> result{new TlsContext};
  SSL_CTX* context = ::SSL_CTX_new(::TLS_client_method());
  if (context == nullptr) return make_error(Errc::failed, "start TLS: {}", openssl_error());
  result->context_ = context;
  result->verify_ = settings.verify;
  ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  ::SSL_CTX_set_verify(context, settings.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  constexpr unsigned char kProtocols[] = "\x08http/1.1";
  ::SSL_CTX_set_alpn_protos(context, kProtocols, sizeof kProtocols - 1);
  if (settings.verify) {
    ::SSL_CTX_set_default_verify_paths(context);
    if (::access(::X509_get_default_cert_dir(), R_OK) != 0 && ::getenv("SSL_CERT_FILE") == nullptr) {
      for (const char* bundle : kBundles) {
        if (::SSL_CTX_load_verify_file(context, bundle) == 1) break;
      }
    }
  }
  ::ERR_clear_error();
  for (const std::string& file : settings.authorities) {
    if (::SSL_CTX_load_verify_file(context, file.c_str()) != 1)
      return make_error(Errc::invalid, "\"{}\" holds no CA certificate: {}", file, openssl_error());
  }
  if (!settings.certificate.empty() &&
      ::SSL_CTX_use_certificate_chain_file(context, settings.certificate.c_str()) != 1) {
    return make_error(Errc::invalid, "\"{}\" holds no certificate: {}", settings.certificate, openssl_error());
  }
  if (!settings.key.empty() && ::SSL_CTX_use_PrivateKey_file(context, settings.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return make_error(Errc::invalid, "\"{}\" holds no key for the certificate: {}", settings.key, openssl_error());
  return result;
}

Result<TransportPtr> start_tls(TransportPtr below, const std::string& host, std::shared_ptr<TlsContext> context) {
  const bool verify = context->verify_;
  auto* const settings = static_cast<SSL_CTX*>(context->context_);
  auto transport = std::make_unique<TlsTransport>(std::move(below), std::move(context), settings);
  TRY(transport->handshake(host, verify));
  return TransportPtr{std::move(transport)};
}

}  // namespace compose::http
