// connectors/net/tls_reason.h
#pragma once

#include <string>

namespace thalweg::net {

// Why the last call of OpenSSL failed: the newest entry of its queue, which is empty then.
[[nodiscard]] std::string tls_reason();

}  // namespace thalweg::net
