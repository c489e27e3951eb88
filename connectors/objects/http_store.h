// connectors/objects/http_store.h
//
// What stores behind HTTP have in common, whoever keeps the objects: they differ in how a request is signed and in what
// an error says.
#pragma once

#include <string>
#include <string_view>

#include "connectors/net/http_message.h"
#include "connectors/objects/object_store.h"

namespace thalweg::objects {

class HttpStore : public ObjectStore {
 public:
  Result<ObjectInfo> head(const std::string& key) override;
  Result<std::string> get(const std::string& key, std::uint64_t offset, std::uint64_t bytes,
                          const std::string& etag) override;

 protected:
  struct Call {
    std::string method;
    std::string key;    // empty: the bucket or container itself
    std::string query;  // escaped
    net::HttpFields headers;
    std::string body;
  };
  // The answer, whatever its status, after all that can be put right.
  virtual Result<net::HttpResponse> call(const Call& call) = 0;
  [[nodiscard]] virtual Error error_of(const net::HttpResponse& answer, const std::string& key) const = 0;
  [[nodiscard]] virtual std::string_view range_field() const { return "Range"; }
  // Whether our write with a condition had been done before its answer got lost.
  [[nodiscard]] bool is_ours(const std::string& key, const std::string& bytes, std::string& etag);
};

// A field of an answer; empty where it has none.
[[nodiscard]] std::string field_of(const net::HttpResponse& answer, std::string_view name);
[[nodiscard]] std::uint64_t number_in(std::string_view text);  // 0 where there is none

}  // namespace thalweg::objects
