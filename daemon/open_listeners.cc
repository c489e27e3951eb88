#include "daemon/open_listeners.h"

#include <optional>

#include "connectors/http/server_options.h"
#include "connectors/net/http_message.h"

namespace thalweg::daemon {

std::vector<OpenListener> open_listeners(const plan::Plan& plan) {
  std::vector<OpenListener> out;
  for (const plan::Node& node : plan.nodes) {
    std::optional<web::OwnListener> found;
    if (const auto* source = std::get_if<plan::Source>(&node.params))
      found = web::own_listener(source->connector, source->args);
    else if (const auto* output = std::get_if<plan::Output>(&node.params))
      found = web::own_listener(output->connector, output->args);
    if (!found || found->has_auth) continue;
    const net::Address address{found->host, found->port, {}};
    OpenListener open;
    open.span = node.span;
    open.reachable = !address.is_loopback();
    open.warning = "NO AUTH: everybody who reaches " + address.to_text() +
                   " may use this pipeline's listener; give it `auth:`, or the host 127.0.0.1";
    open.refusal = "the listener on " + address.to_text() + " has no `auth:`, and `require_pipeline_auth` is set";
    out.push_back(std::move(open));
  }
  return out;
}

}  // namespace thalweg::daemon
