// connectors/net/address_policy.h
//
// Where clients may connect to. A name is resolved once, each of its addresses is checked, and that address is the one
// connected to: a name that leads elsewhere the next time gains nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

struct sockaddr;

namespace thalweg::net {

// IPv4 as ::ffff:a.b.c.d.
struct Network {
  std::array<std::uint8_t, 16> bytes{};
  unsigned bits = 128;
};

class AddressPolicy {
 public:
  // Beside public addresses: names (`db.internal`, `*.internal`), addresses and networks (`10.0.0.0/8`, `fd00::/8`).
  [[nodiscard]] static Result<AddressPolicy> make(const std::vector<std::string>& allowed);
  [[nodiscard]] bool allows_name(std::string_view host) const;
  [[nodiscard]] bool allows(const sockaddr& address) const;

 private:
  std::vector<std::string> names_;
  std::vector<Network> networks_;
};

// Not on the public internet: this machine, private and link-local networks (metadata services of clouds among them),
// shared, multicast and reserved ranges. IPv4 addresses inside of IPv6 ones count as what they are.
[[nodiscard]] bool is_public(const sockaddr& address);

}  // namespace thalweg::net
