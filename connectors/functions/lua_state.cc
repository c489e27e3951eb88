#include "connectors/functions/lua_state.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <lauxlib.h>
#include <lualib.h>

#include "connectors/functions/lua_value.h"

namespace thalweg::functions {

namespace {

constexpr int kInstructionsPerCheck = 1000;

// Taken away from what the standard libraries bring.
constexpr const char* kRemovedGlobals[] = {"dofile", "loadfile", "load", "collectgarbage", "print", "warn", "require"};
struct Removed {
  const char* library;
  const char* function;
};
constexpr Removed kRemoved[] = {{"string", "dump"}, {"math", "random"}, {"math", "randomseed"}};

// Finalisers run outside the budget of instructions, hence none. `pairs` by order of keys: numbers, texts, others.
constexpr const char kPrelude[] = R"lua(
local next, type, sort, rawget, getmetatable, setmetatable, error =
  next, type, table.sort, rawget, getmetatable, setmetatable, error
local rank = {number = 1, string = 2, boolean = 3}
local function before(a, b)
  local ra, rb = rank[type(a)] or 4, rank[type(b)] or 4
  if ra ~= rb then return ra < rb end
  if ra < 3 then return a < b end
  return ra == 3 and not a and b
end
function pairs(t)
  local meta = getmetatable(t)
  if type(meta) == "table" and meta.__pairs then return meta.__pairs(t) end
  local keys, n, i = {}, 0, 0
  for k in next, t do n = n + 1; keys[n] = k end
  sort(keys, before)
  return function()
    while i < n do
      i = i + 1
      local v = t[keys[i]]
      if v ~= nil then return keys[i], v end
    end
  end
end
_G.setmetatable = function(t, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then error("__gc is not available here", 2) end
  return setmetatable(t, meta)
end
)lua";

void open_libraries(lua_State* lua) {
  constexpr luaL_Reg kLibraries[] = {{LUA_GNAME, luaopen_base},        {LUA_TABLIBNAME, luaopen_table},
                                     {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math},
                                     {LUA_UTF8LIBNAME, luaopen_utf8},  {LUA_COLIBNAME, luaopen_coroutine}};
  for (const luaL_Reg& library : kLibraries) {
    luaL_requiref(lua, library.name, library.func, 1);
    lua_pop(lua, 1);
  }
  for (const char* name : kRemovedGlobals) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  for (const Removed& removed : kRemoved) {
    lua_getglobal(lua, removed.library);
    lua_pushnil(lua);
    lua_setfield(lua, -2, removed.function);
    lua_pop(lua, 1);
  }
  if (luaL_loadbufferx(lua, kPrelude, sizeof kPrelude - 1, "=prelude", "t") != LUA_OK) lua_error(lua);
  lua_call(lua, 0, 0);
  push_null(lua);
  lua_setglobal(lua, "null");
}

// `score:3: unexpected symbol` → line 3 and the rest.
plan::FunctionError with_line(const std::string& message, const std::string& name) {
  plan::FunctionError out{.message = message};
  const std::string head = name + ":";
  if (!message.starts_with(head)) return out;
  std::size_t at = head.size();
  std::uint32_t line = 0;
  while (at < message.size() && message[at] >= '0' && message[at] <= '9' && line < 100'000'000)
    line = line * 10 + static_cast<std::uint32_t>(message[at++] - '0');
  if (at == head.size() || at >= message.size() || message[at] != ':') return out;
  out.line = line;
  out.message = message.substr(std::min(message.size(), at + 2));
  return out;
}

std::vector<std::string> functions_of(lua_State* lua, const std::vector<std::string>& before) {
  std::vector<std::string> out;
  lua_pushglobaltable(lua);
  lua_pushnil(lua);
  while (lua_next(lua, -2) != 0) {
    if (lua_type(lua, -2) == LUA_TSTRING && lua_isfunction(lua, -1)) out.emplace_back(lua_tostring(lua, -2));
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
  std::erase_if(out, [&](const std::string& name) { return std::ranges::find(before, name) != before.end(); });
  std::ranges::sort(out);
  return out;
}

}  // namespace

void* LuaState::allocate(void* owner, void* block, std::size_t old_size, std::size_t new_size) {
  auto& state = *static_cast<LuaState*>(owner);
  if (!block) old_size = 0;
  if (new_size == 0) {
    std::free(block);
    state.bytes_ -= old_size;
    return nullptr;
  }
  if (new_size > old_size && state.bytes_ - old_size + new_size > state.limits_.bytes) return nullptr;
  void* out = std::realloc(block, new_size);
  if (out) state.bytes_ = state.bytes_ - old_size + new_size;
  return out;
}

void LuaState::on_count(lua_State* lua, lua_Debug*) {
  auto& state = **static_cast<LuaState**>(lua_getextraspace(lua));
  state.budget_ -= kInstructionsPerCheck;
  if (state.budget_ > 0) {
    if (lua_gethookcount(lua) != kInstructionsPerCheck)
      lua_sethook(lua, on_count, LUA_MASKCOUNT, kInstructionsPerCheck);
    return;
  }
  // From here on every instruction fails, so that a pcall around the loop does not help it.
  lua_sethook(lua, on_count, LUA_MASKCOUNT, 1);
  luaL_where(lua, 0);
  lua_pushfstring(lua, "more than %I instructions (`instruction_limit`)",
                  static_cast<LUAI_UACINT>(state.limits_.instructions));
  lua_concat(lua, 2);
  lua_error(lua);
}

int LuaState::trampoline(lua_State* lua) {
  const auto& task = *static_cast<const std::function<void(lua_State*)>*>(lua_touserdata(lua, 1));
  lua_settop(lua, 0);
  task(lua);
  return 0;
}

std::optional<std::string> LuaState::run(const std::function<void(lua_State*)>& task) {
  budget_ = limits_.instructions;
  lua_sethook(lua_, on_count, LUA_MASKCOUNT, kInstructionsPerCheck);
  if (!lua_checkstack(lua_, 8)) return "out of memory";
  lua_pushcfunction(lua_, trampoline);
  lua_pushlightuserdata(lua_, const_cast<std::function<void(lua_State*)>*>(&task));
  const int status = lua_pcall(lua_, 1, 0, 0);
  if (status == LUA_OK) return std::nullopt;
  std::string message = "an error that is no text";
  if (status == LUA_ERRMEM) {
    exhausted_ = true;
    message = "more than " + std::to_string(limits_.bytes >> 20) + " MiB of memory (`memory_limit`)";
  } else if (lua_type(lua_, -1) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* text = lua_tolstring(lua_, -1, &size);
    constexpr std::size_t kMessageMax = 2000;
    message.assign(text, std::min(size, kMessageMax));
  }
  lua_settop(lua_, 0);
  return message;
}

LuaState::~LuaState() {
  if (lua_) lua_close(lua_);
}

void LuaState::push_function(lua_State* lua) const { lua_rawgeti(lua, LUA_REGISTRYINDEX, function_); }

std::expected<std::unique_ptr<LuaState>, plan::FunctionError> LuaState::load(const LuaSource& source,
                                                                             const LuaLimits& limits) {
  std::unique_ptr<LuaState> state(new LuaState(limits));
  state->lua_ = lua_newstate(allocate, state.get());
  if (!state->lua_)
    return std::unexpected(plan::FunctionError{.message = "no memory for an interpreter", .option = "memory_limit"});
  *static_cast<LuaState**>(lua_getextraspace(state->lua_)) = state.get();
  if (auto failure = state->prepare(source)) return std::unexpected(std::move(*failure));
  return state;
}

std::optional<plan::FunctionError> LuaState::prepare(const LuaSource& source) {
  if (auto failure = run(open_libraries))
    return plan::FunctionError{.message = "Lua does not start: " + *failure, .option = "memory_limit"};
  std::vector<std::string> standard;
  if (auto failure = run([&](lua_State* lua) { standard = functions_of(lua, {}); }))
    return plan::FunctionError{.message = *failure};
  const std::string chunk = "=" + source.name;
  auto failure = run([&](lua_State* lua) {
    if (luaL_loadbufferx(lua, source.text.data(), source.text.size(), chunk.c_str(), "t") != LUA_OK) lua_error(lua);
    lua_call(lua, 0, 1);
    if (source.function.empty() && lua_isfunction(lua, -1)) function_ = luaL_ref(lua, LUA_REGISTRYINDEX);
  });
  if (failure) return with_line(*failure, source.name);
  if (function_ != 0) return std::nullopt;
  std::string missing;
  failure = run([&](lua_State* lua) {
    std::vector<std::string> own = functions_of(lua, standard);
    std::string name = source.function.empty() ? source.fallback : source.function;
    const bool there = std::ranges::find(own, name) != own.end();
    if (!there && source.function.empty() && own.size() == 1)
      name = own[0];
    else if (!there) {
      missing = source.function.empty() ? "the source defines no function `" + name + "`, and several others"
                                        : "the source defines no function `" + name + "`";
      if (own.empty()) missing = "the source defines no function";
      std::string list;
      for (const std::string& other : own) list += (list.empty() ? "`" : ", `") + other + "`";
      if (!list.empty()) missing += "; it defines " + list;
      return;
    }
    lua_getglobal(lua, name.c_str());
    function_ = luaL_ref(lua, LUA_REGISTRYINDEX);
  });
  if (failure) return plan::FunctionError{.message = *failure};
  if (missing.empty()) return std::nullopt;
  return plan::FunctionError{.message = missing,
                             .hint = "name it with `function:`, or let the source return it",
                             .option = source.function.empty() ? "" : "function"};
}

}  // namespace thalweg::functions
