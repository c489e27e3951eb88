// engine/io/connectors.h
//
// How the engine finds connectors without knowing any: the composition root hands one of these in.
#pragma once

#include <memory>

#include "engine/io/sink.h"
#include "engine/io/source.h"

namespace thalweg {

class ConnectorFactory {
 public:
  virtual ~ConnectorFactory() = default;
  virtual Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env& env) = 0;
  virtual Result<std::unique_ptr<Sink>> make_sink(const plan::Output& output, const Schema& schema, Env& env) = 0;
};

}  // namespace thalweg
