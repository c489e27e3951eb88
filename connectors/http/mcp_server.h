// connectors/http/mcp_server.h
//
// Tables of queries as tools of the Model Context Protocol.
//
//   client ─► POST /mcp (JSON-RPC), or a line of standard input ─► McpServer ─► tool ─► QueryServer ─► … ─► answer
//
// M1  Tools of one run that name the same server and place are of one server. It listens while it has a tool.
// M2  No sessions: every request stands for itself, so a restart or a reload breaks none.
// M3  A question that the pipeline cannot answer is a result with `isError`; what is no call of a tool is an error of
//     the protocol.
// Threads  any.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connectors/http/web_host.h"
#include "connectors/services.h"

namespace thalweg::web {

struct McpTool {
  std::string name, title, description;
  std::vector<plan::SourceField> fields;
  std::function<void(Exchange)> handle;
};

class McpServer;

// A tool that is offered. Going away takes it back.
class McpOffer {
 public:
  McpOffer(std::shared_ptr<McpServer> server, std::shared_ptr<const McpTool> tool)
      : server_(std::move(server)), tool_(std::move(tool)) {}
  ~McpOffer();
  McpOffer(const McpOffer&) = delete;
  McpOffer& operator=(const McpOffer&) = delete;
  void open();   // all tools of the run are offered: requests are answered
  void close();  // from now on the server is that of the next run

 private:
  const std::shared_ptr<McpServer> server_;
  const std::shared_ptr<const McpTool> tool_;
};

// `server`: its name. `route`: where it is served, or null for standard input and output.
[[nodiscard]] Result<std::unique_ptr<McpOffer>> offer_tool(const std::string& server, std::unique_ptr<RouteSpec> route,
                                                           McpTool tool, const ConnectorServices& services);

}  // namespace thalweg::web
