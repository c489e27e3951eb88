// connectors/services.h
//
// What the composition root gives the connectors of one pipeline beside the engine's Env: names, listeners, and what
// the network may be used for. All of it may be left empty: then what needs it refuses to start.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connectors/net/address_policy.h"
#include "connectors/net/http_server.h"

namespace thalweg {

namespace web {
class WebHost;
}

struct ConnectorServices {
  std::string pipeline;       // for routes below /p/{pipeline}/ and for messages
  const void* run = nullptr;  // tells the runs of a pipeline apart
  std::shared_ptr<web::WebHost> web;
  bool has_listener = false;  // there is a daemon's listener, which serves /p/{pipeline}/
  // Answers a request for an exported table: `below` is the path below it (empty: its rows; `changes` …).
  std::function<void(const std::string& pipeline, const std::string& table, const std::vector<std::string>& below,
                     net::HttpRequest, net::HttpReply)>
      serve_table;
  std::shared_ptr<const net::AddressPolicy> egress;  // where clients may connect to; null: anywhere
};

}  // namespace thalweg
