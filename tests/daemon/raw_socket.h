// tests/daemon/raw_socket.h
//
// A TCP connection that sends exactly the bytes it is told to: for what a well-behaved client would never send.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace thalweg::tests {

class RawSocket {
 public:
  explicit RawSocket(std::uint16_t port, int receive_buffer_bytes = 0);
  ~RawSocket();
  void send(std::string_view bytes);
  void shut_down_sending();
  // Reads until `end` was seen, the peer closed, or 5 s have passed; what came.
  std::string read_until(std::string_view end);
  std::string read_all() { return read_until(""); }  // until the peer closes
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  int fd_;
  bool closed_ = false;
};

}  // namespace thalweg::tests
