#include "connectors/functions/lua_function.h"

#include <algorithm>
#include <mutex>

#include <lauxlib.h>

#include "connectors/functions/lua_state.h"
#include "connectors/functions/lua_value.h"
#include "connectors/setting_reader.h"

namespace thalweg::functions {

namespace {

using plan::FunctionError;
using plan::FunctionSpec;
using plan::UserCall;

class LuaFunction final : public plan::UserFunction {
 public:
  LuaFunction(const FunctionSpec& spec, LuaSource source, LuaLimits limits, std::int64_t batch_rows,
              std::unique_ptr<LuaState> first, std::string text)
      : source_(std::move(source)),
        limits_(limits),
        deterministic_(spec.deterministic),
        propagate_none_(spec.propagate_none),
        batch_rows_(batch_rows),
        text_(std::move(text)) {
    idle_.push_back(std::move(first));
  }

  [[nodiscard]] const std::string& text() const override { return text_; }
  [[nodiscard]] bool deterministic() const override { return deterministic_; }
  [[nodiscard]] bool propagates_none() const override { return propagate_none_; }

  [[nodiscard]] Column call(const UserCall& call) const override {
    std::unique_ptr<LuaState> state = take();
    ColumnBuilder out(call.result, call.rows);
    if (batch_rows_ > 0)
      call_batches(state, call, out);
    else
      call_rows(state, call, out);
    give_back(std::move(state));
    return out.finish();
  }

 private:
  // Null: there is no memory for one; each row says so.
  std::unique_ptr<LuaState> take() const {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto state = std::move(idle_.back());
        idle_.pop_back();
        return state;
      }
    }
    return fresh();
  }
  std::unique_ptr<LuaState> fresh() const {
    auto state = LuaState::load(source_, limits_);
    return state ? std::move(*state) : nullptr;
  }
  void give_back(std::unique_ptr<LuaState> state) const {
    if (!state || state->exhausted()) return;
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(state));
  }

  std::optional<std::string> run(std::unique_ptr<LuaState>& state, const std::function<void(lua_State*)>& task) const {
    if (!state || state->exhausted()) state = fresh();
    if (!state) return "Lua does not start: out of memory";
    return state->run(task);
  }

  void call_rows(std::unique_ptr<LuaState>& state, const UserCall& call, ColumnBuilder& out) const {
    std::size_t row = 0;
    std::string why;
    const std::function<void(lua_State*)> task = [&](lua_State* lua) {
      luaL_checkstack(lua, static_cast<int>(call.args.size()) + 4, "too many arguments");
      state->push_function(lua);
      for (std::size_t i = 0; i < call.args.size(); ++i) push_cell(lua, call.arg_types[i], call.args[i], row);
      lua_call(lua, static_cast<int>(call.args.size()), 1);
      (void)take_cell(lua, call.result, out, why);
    };
    for (; row < call.rows; ++row) {
      if (call.skips(row)) {
        out.push_tagged(call.skip[row]);
        continue;
      }
      why.clear();
      if (auto failure = run(state, task)) why = std::move(*failure);
      if (out.size() > row) continue;
      call.fail(row, why);
      out.push_error();
    }
  }

  // The function gets a list per argument and returns a list of as many answers.
  void call_batches(std::unique_ptr<LuaState>& state, const UserCall& call, ColumnBuilder& out) const {
    std::vector<std::uint32_t> rows;
    for (std::uint32_t row = 0; row < call.rows; ++row)
      if (!call.skips(row)) rows.push_back(row);
    std::vector<Column> answers;
    for (std::size_t begin = 0; begin < rows.size(); begin += static_cast<std::size_t>(batch_rows_)) {
      const std::size_t size = std::min(rows.size() - begin, static_cast<std::size_t>(batch_rows_));
      answers.push_back(one_batch(state, call, std::span(rows).subspan(begin, size)));
    }
    std::size_t next = 0, part = 0;
    for (std::size_t row = 0; row < call.rows; ++row) {
      if (call.skips(row)) {
        out.push_tagged(call.skip[row]);
        continue;
      }
      out.push_cell(answers[part], next);
      if (++next == answers[part].size()) ++part, next = 0;
    }
  }

  Column one_batch(std::unique_ptr<LuaState>& state, const UserCall& call, std::span<const std::uint32_t> rows) const {
    ColumnBuilder out(call.result, rows.size());
    std::string why;
    const auto failure = run(state, [&](lua_State* lua) {
      luaL_checkstack(lua, static_cast<int>(call.args.size()) + 4, "too many arguments");
      state->push_function(lua);
      for (std::size_t i = 0; i < call.args.size(); ++i) push_list(lua, call.arg_types[i], call.args[i], rows);
      lua_call(lua, static_cast<int>(call.args.size()), 1);
      if (!lua_istable(lua, -1)) {
        why = "a function with `max_batch_size` returns a list with one answer per row";
        return;
      }
      for (std::size_t i = 0; i < rows.size(); ++i) {
        lua_rawgeti(lua, -1, static_cast<lua_Integer>(i + 1));
        std::string wrong;
        if (!take_cell(lua, call.result, out, wrong)) {
          call.fail(rows[i], wrong);
          out.push_error();
        }
        lua_pop(lua, 1);
      }
    });
    if (failure) why = *failure;
    while (out.size() < rows.size()) {
      call.fail(rows[out.size()], why);
      out.push_error();
    }
    return out.finish();
  }

  static void push_list(lua_State* lua, const Type& type, const Column& column, std::span<const std::uint32_t> rows) {
    lua_createtable(lua, static_cast<int>(rows.size()), 1);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (column.is_value(rows[i]))
        push_cell(lua, type, column, rows[i]);
      else
        push_null(lua);
      lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
    }
    lua_pushinteger(lua, static_cast<lua_Integer>(rows.size()));
    lua_setfield(lua, -2, "n");
  }

  const LuaSource source_;
  const LuaLimits limits_;
  const bool deterministic_;
  const bool propagate_none_;
  const std::int64_t batch_rows_;  // 0: row by row
  const std::string text_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<LuaState>> idle_;
};

}  // namespace

std::expected<plan::UserFunctionPtr, FunctionError> make_lua(const FunctionSpec& spec, std::string text) {
  const SettingReader options(spec.options);
  LuaSource source;
  source.text = options.text("source");
  source.name = options.text("source_name", spec.name);
  source.function = options.text("function");
  source.fallback = spec.name;
  LuaLimits limits;
  limits.instructions = options.integer("instruction_limit", limits.instructions);
  const std::int64_t mebibytes = options.integer("memory_limit", static_cast<std::int64_t>(limits.bytes >> 20));
  if (limits.instructions < 1)
    return std::unexpected(
        FunctionError{.message = "`instruction_limit` is at least 1", .option = "instruction_limit"});
  if (mebibytes < 1 || mebibytes > 4096)
    return std::unexpected(
        FunctionError{.message = "`memory_limit` is between 1 and 4096 MiB", .option = "memory_limit"});
  limits.bytes = static_cast<std::size_t>(mebibytes) << 20;
  const std::int64_t batch_rows = options.integer("max_batch_size", 0);
  if (options.has("max_batch_size") && batch_rows < 1)
    return std::unexpected(FunctionError{.message = "`max_batch_size` is at least 1", .option = "max_batch_size"});
  if (source.text.starts_with("\x1bLua"))
    return std::unexpected(FunctionError{.message = "a Lua source is text; compiled chunks are not read"});
  auto first = LuaState::load(source, limits);
  if (!first) return std::unexpected(std::move(first.error()));
  return std::make_shared<const LuaFunction>(spec, std::move(source), limits, batch_rows, std::move(*first),
                                             std::move(text));
}

}  // namespace thalweg::functions
