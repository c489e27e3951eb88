// connectors/functions/lua_state.h
//
// A Lua 5.4 interpreter that cannot reach outside itself and cannot run for ever: text chunks only; no io, os, debug,
// package, load, random numbers or finalisers; every run has a budget of instructions, the state one of bytes.
//
// L1  Everything that may raise a Lua error runs inside run(). Lua is the C++ build: errors unwind, destructors run.
// L2  `pairs` goes through keys in order, so that a function gives the same answer in every state.
// Cost  matching of patterns counts as one instruction, however long it takes: its work is bounded by memory alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <lua.h>

#include "engine/plan/user_function.h"

namespace thalweg::functions {

struct LuaLimits {
  std::int64_t instructions = 10'000'000;  // of one call
  std::size_t bytes = 64U << 20;           // of one state
};

struct LuaSource {
  std::string text;
  std::string name;      // in messages: `score`, `rules.lua`
  std::string function;  // a global; empty: what the chunk returns, or the global `fallback`
  std::string fallback;
};

class LuaState {
 public:
  [[nodiscard]] static std::expected<std::unique_ptr<LuaState>, plan::FunctionError> load(const LuaSource& source,
                                                                                          const LuaLimits& limits);
  ~LuaState();
  LuaState(const LuaState&) = delete;
  LuaState& operator=(const LuaState&) = delete;

  // Runs `task` with a fresh budget; nothing, or what went wrong.
  [[nodiscard]] std::optional<std::string> run(const std::function<void(lua_State*)>& task);
  // Inside a task: pushes the user's function.
  void push_function(lua_State* lua) const;
  // It ran out of memory: what it holds is in the way of every further call.
  [[nodiscard]] bool exhausted() const { return exhausted_; }

 private:
  explicit LuaState(const LuaLimits& limits) : limits_(limits) {}
  static void* allocate(void* owner, void* block, std::size_t old_size, std::size_t new_size);
  static int trampoline(lua_State* lua);
  static void on_count(lua_State* lua, lua_Debug* event);
  std::optional<plan::FunctionError> prepare(const LuaSource& source);

  const LuaLimits limits_;
  lua_State* lua_ = nullptr;
  std::size_t bytes_ = 0;
  std::int64_t budget_ = 0;
  bool exhausted_ = false;
  int function_ = 0;  // its place in the registry
};

}  // namespace thalweg::functions
