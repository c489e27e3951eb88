// connectors/net/digest.h
//
// Hashes and encodings that protocols sign their requests with. OpenSSL ends in the .cc file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace thalweg::net {

// Raw bytes.
[[nodiscard]] std::string sha256(std::string_view bytes);
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view bytes);
[[nodiscard]] std::string hex(std::string_view bytes);  // lower case
[[nodiscard]] std::string base64(std::string_view bytes);
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace thalweg::net
