#include "connectors/net/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "connectors/net/http_message.h"

namespace thalweg::net {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

Bytes from_v4(const void* four) {
  Bytes out{};
  out[10] = out[11] = 0xFF;
  std::memcpy(out.data() + 12, four, 4);
  return out;
}

bool bytes_of(const sockaddr& address, Bytes& out) {
  if (address.sa_family == AF_INET) {
    out = from_v4(&reinterpret_cast<const sockaddr_in&>(address).sin_addr);
    return true;
  }
  if (address.sa_family != AF_INET6) return false;
  std::memcpy(out.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
  return true;
}

bool same_prefix(const Bytes& a, const Bytes& b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xFF << (8 - bits % 8));
  return (a[whole] & mask) == (b[whole] & mask);
}

bool network_from(std::string_view text, Bytes& bytes, unsigned& bits) {
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  std::array<std::uint8_t, 16> raw{};
  bool v4 = false;
  if (::inet_pton(AF_INET, address.c_str(), raw.data()) == 1) {
    bytes = from_v4(raw.data());
    v4 = true;
  } else if (::inet_pton(AF_INET6, address.c_str(), raw.data()) == 1) {
    bytes = raw;
  } else {
    return false;
  }
  bits = 128;
  if (slash == std::string_view::npos) return true;
  const std::string_view length = text.substr(slash + 1);
  unsigned given = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), given);
  if (error != std::errc() || end != length.data() + length.size() || given > (v4 ? 32U : 128U)) return false;
  bits = v4 ? given + 96 : given;
  return true;
}

struct Range {
  const char* text;
};
constexpr Range kNotPublic[] = {
    {"0.0.0.0/8"},    {"10.0.0.0/8"},   {"100.64.0.0/10"},  {"127.0.0.0/8"},   {"169.254.0.0/16"},  {"172.16.0.0/12"},
    {"192.0.0.0/24"}, {"192.0.2.0/24"}, {"192.168.0.0/16"}, {"198.18.0.0/15"}, {"198.51.100.0/24"}, {"203.0.113.0/24"},
    {"224.0.0.0/3"},  {"::/96"},        {"64:ff9b:1::/48"}, {"100::/64"},      {"2001:db8::/32"},   {"fc00::/7"},
    {"fe80::/10"},    {"fec0::/10"},    {"ff00::/8"}};

const std::vector<Network>& not_public() {
  static const std::vector<Network> kAll = [] {
    std::vector<Network> out;
    for (const Range& range : kNotPublic) {
      Network network;
      if (network_from(range.text, network.bytes, network.bits)) out.push_back(network);
    }
    return out;
  }();
  return kAll;
}

// 64:ff9b::/96 (NAT64) and 2002::/16 (6to4) carry an IPv4 address.
Bytes inner_address(const Bytes& bytes) {
  static constexpr std::array<std::uint8_t, 12> kNat64 = {0, 0x64, 0xFF, 0x9B};
  if (std::memcmp(bytes.data(), kNat64.data(), kNat64.size()) == 0) return from_v4(bytes.data() + 12);
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return from_v4(bytes.data() + 2);
  return bytes;
}

}  // namespace

bool is_public(const sockaddr& address) {
  Bytes bytes{};
  if (!bytes_of(address, bytes)) return false;
  bytes = inner_address(bytes);
  return std::ranges::none_of(not_public(),
                              [&](const Network& range) { return same_prefix(bytes, range.bytes, range.bits); });
}

Result<AddressPolicy> AddressPolicy::make(const std::vector<std::string>& allowed) {
  AddressPolicy out;
  for (const std::string& one : allowed) {
    Network network;
    if (network_from(one, network.bytes, network.bits)) {
      out.networks_.push_back(network);
      continue;
    }
    const bool looks_like_name = !one.empty() && one.find_first_of("/:@ ") == std::string::npos &&
                                 one.find_first_not_of("0123456789.") != std::string::npos;
    if (!looks_like_name)
      return fail(Code::kInvalidArgument, "`" + one + "` is no host name, address or network (`10.0.0.0/8`)");
    out.names_.push_back(one);
  }
  return out;
}

bool AddressPolicy::allows_name(std::string_view host) const {
  return std::ranges::any_of(names_, [&](const std::string& name) {
    if (!name.starts_with("*.")) return same_field_name(name, host);
    const std::string_view ending = std::string_view(name).substr(1);
    return host.size() > ending.size() && same_field_name(host.substr(host.size() - ending.size()), ending);
  });
}

bool AddressPolicy::allows(const sockaddr& address) const {
  if (is_public(address)) return true;
  Bytes bytes{};
  if (!bytes_of(address, bytes)) return false;
  return std::ranges::any_of(networks_,
                             [&](const Network& range) { return same_prefix(bytes, range.bytes, range.bits); });
}

}  // namespace thalweg::net
