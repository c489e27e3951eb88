// connectors/connector.h
//
// One connector: what it is called, what it takes, how it is built. Its row in registry.cc is all that the rest of the
// system knows of it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/option_spec.h"
#include "connectors/services.h"
#include "engine/base/env.h"
#include "engine/io/sink.h"
#include "engine/io/source.h"
#include "engine/plan/node.h"
#include "engine/plan/source_shape.h"

namespace thalweg {

struct ConnectorDescriptor {
  config::ConnectorSpec spec;
  // Sources. `args` in all of these are decoded: canonical names, defaults filled in.
  std::function<Result<std::unique_ptr<Source>>(const plan::Source& source, Env& env)> make_source;
  // The same for connectors that need more of the world than Env.
  std::function<Result<std::unique_ptr<Source>>(const plan::Source& source, Env& env,
                                                const ConnectorServices& services)>
      make_served_source;
  // Columns before building (`schema` is what the pipeline declares, maybe nothing). May read a sample of local files;
  // null where the schema says all.
  std::function<Result<plan::SourceShape>(const Setting& args, const std::vector<plan::SourceField>& schema, Env& env)>
      describe;
  // Sinks.
  std::function<Result<std::unique_ptr<Sink>>(const plan::Output& output, const Schema& schema, Env& env)> make_sink;
  std::function<Result<std::unique_ptr<Sink>>(const plan::Output& output, const Schema& schema, Env& env,
                                              const ConnectorServices& services)>
      make_served_sink;
  // Where the pipeline keeps its state: what of its rows is lost or doubled if the process ends at any moment.
  Delivery delivery = Delivery::kAtLeastOnce;
  // `check --probe`: reaches what the arguments name (a file, a program, a server) without moving data. Null: there is
  // nothing to reach.
  std::function<Result<void>(const Setting& args, Env& env)> probe;
  // Arguments that contradict each other or the schema; null if there are none.
  std::function<Result<void>(const Setting& args, const Schema& schema)> check;
};

}  // namespace thalweg
