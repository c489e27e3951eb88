// connectors/functions/lua_value.h
//
// Cells as Lua values and back.
//
//   bool, int, float        boolean, integer (64 bits), float
//   str, bytes              string
//   datetime, duration      integer, nanoseconds
//   pointer, uuid           string, as the language prints them
//   list, tuple, array      table 1…n, with the number of elements in `n` where some are None
//   json                    tables, strings, numbers, booleans
//   None                    nil; inside of tables and json the global `null`
//
// The other way round the declared type decides: an int may come as a float without a fraction, a table becomes a list,
// tuple, array or json. An empty table is `{}` in json unless it came in as `[]`.
// Both raise Lua errors: call them inside LuaState::run.
#pragma once

#include <string>
#include <string_view>

#include <lua.h>

#include "engine/types/column.h"
#include "engine/types/type.h"
#include "engine/types/value.h"

namespace thalweg::functions {

void push_null(lua_State* lua);
void push_cell(lua_State* lua, const Type& type, const Column& column, std::size_t row);
void push_value(lua_State* lua, const Value& value, bool inside);
// The value on top of the stack as a cell of `type`; it stays there. False: it is none, and `why` says so.
[[nodiscard]] bool take_cell(lua_State* lua, const Type& type, ColumnBuilder& out, std::string& why);

}  // namespace thalweg::functions
