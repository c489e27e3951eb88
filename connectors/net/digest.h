// connectors/net/digest.h
//
// Hashes and encodings that protocols sign their requests with. OpenSSL ends in the .cc file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace thalweg::net {

// Raw bytes.
[[nodiscard]] std::string sha256(std::string_view bytes);
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view bytes);
[[nodiscard]] std::string hex(std::string_view bytes);  // lower case
[[nodiscard]] std::string base64(std::string_view bytes);
[[nodiscard]] std::string base64url(std::string_view bytes);  // without padding, as JSON web tokens have it
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);
// RSASSA-PKCS1-v1_5 with SHA-256, by a private key in PEM. Errors never hold the key.
[[nodiscard]] Result<std::string> sign_rs256(std::string_view private_key_pem, std::string_view bytes);

}  // namespace thalweg::net
