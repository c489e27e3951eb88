#include "connectors/functions/lua_value.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <lauxlib.h>
#include <simdjson.h>

#include "connectors/formats/encode.h"
#include "engine/types/encoding.h"

namespace thalweg::functions {

namespace {

constexpr int kDepthMax = 100;
constexpr char kNull = 0;  // its address is the value `null`
constexpr const char* kArrayMeta = "thalweg.json array";

bool is_null(lua_State* lua, int index) {
  return lua_islightuserdata(lua, index) && lua_touserdata(lua, index) == &kNull;
}

void room(lua_State* lua) { luaL_checkstack(lua, 8, "nested too deeply"); }

void mark_as_array(lua_State* lua) {
  luaL_newmetatable(lua, kArrayMeta);
  lua_setmetatable(lua, -2);
}
bool is_marked_array(lua_State* lua, int index) {
  if (!lua_getmetatable(lua, index)) return false;
  luaL_getmetatable(lua, kArrayMeta);
  const bool same = lua_rawequal(lua, -1, -2);
  lua_pop(lua, 2);
  return same;
}

// ---------------------------------------------------------------- to Lua

void push_element(lua_State* lua, const simdjson::dom::element& element) {
  room(lua);
  switch (element.type()) {
    case simdjson::dom::element_type::NULL_VALUE: push_null(lua); return;
    case simdjson::dom::element_type::BOOL: lua_pushboolean(lua, bool(element.get_bool().value_unsafe())); return;
    case simdjson::dom::element_type::INT64: lua_pushinteger(lua, element.get_int64().value_unsafe()); return;
    case simdjson::dom::element_type::UINT64:
      lua_pushnumber(lua, static_cast<double>(element.get_uint64().value_unsafe()));
      return;
    case simdjson::dom::element_type::DOUBLE: lua_pushnumber(lua, element.get_double().value_unsafe()); return;
    case simdjson::dom::element_type::STRING: {
      const std::string_view text = element.get_string().value_unsafe();
      lua_pushlstring(lua, text.data(), text.size());
      return;
    }
    case simdjson::dom::element_type::ARRAY: {
      lua_newtable(lua);
      lua_Integer n = 0;
      const simdjson::dom::array items = element.get_array().value_unsafe();
      for (const simdjson::dom::element item : items) {
        push_element(lua, item);
        lua_rawseti(lua, -2, ++n);
      }
      mark_as_array(lua);
      return;
    }
    case simdjson::dom::element_type::OBJECT: {
      lua_newtable(lua);
      const simdjson::dom::object members = element.get_object().value_unsafe();
      for (const auto [key, value] : members) {
        lua_pushlstring(lua, key.data(), key.size());
        push_element(lua, value);
        lua_rawset(lua, -3);
      }
      return;
    }
  }
}

void push_json(lua_State* lua, std::string_view text, bool inside) {
  if (text == "null") return inside ? push_null(lua) : lua_pushnil(lua);
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  if (parser.parse(text.data(), text.size()).get(element) != simdjson::SUCCESS)
    luaL_error(lua, "json with a number or a depth that Lua cannot hold");
  push_element(lua, element);
}

void push_array(lua_State* lua, const NdArray& array, std::size_t dim, std::size_t& next) {
  room(lua);
  const std::int64_t size = array.shape.empty() ? 0 : array.shape[dim];
  lua_createtable(lua, static_cast<int>(std::min<std::int64_t>(size, 1 << 20)), 0);
  for (std::int64_t i = 0; i < size; ++i) {
    if (dim + 1 < array.shape.size()) {
      push_array(lua, array, dim + 1, next);
    } else if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&array.data)) {
      lua_pushinteger(lua, (*ints)[next++]);
    } else {
      lua_pushnumber(lua, std::get<std::vector<double>>(array.data)[next++]);
    }
    lua_rawseti(lua, -2, i + 1);
  }
}

// ---------------------------------------------------------------- from Lua

std::string found(lua_State* lua, int index) {
  if (is_null(lua, index)) return "null";
  switch (lua_type(lua, index)) {
    case LUA_TNIL: return "nil";
    case LUA_TBOOLEAN: return "a boolean";
    case LUA_TNUMBER: return lua_isinteger(lua, index) ? "an integer" : "a float";
    case LUA_TSTRING: return "a string";
    case LUA_TTABLE: return "a table";
    default: return std::string("a ") + luaL_typename(lua, index);
  }
}

// Reads one value; the text of what is wrong stays in `why`.
class Reader {
 public:
  Reader(lua_State* lua, std::string& why) : lua_(lua), why_(why) {}

  std::optional<Value> read(int index, const Type& type, int depth = 0) {
    if (depth > kDepthMax) return wrong("it is nested more than 100 deep");
    room(lua_);
    index = lua_absindex(lua_, index);
    if (lua_isnil(lua_, index) || is_null(lua_, index)) {
      if (type.is(Kind::kJson) && !type.optional()) return Value::json("null");
      if (type.admits_none()) return Value::none();
      return misfit(index, type);
    }
    switch (type.kind()) {
      case Kind::kBool:
        if (lua_type(lua_, index) == LUA_TBOOLEAN) return Value::of(lua_toboolean(lua_, index) != 0);
        break;
      case Kind::kInt:
        if (auto n = integer(index)) return Value::of(*n);
        break;
      case Kind::kDateTimeNaive:
        if (auto n = integer(index)) return Value::datetime_naive(*n);
        break;
      case Kind::kDateTimeUtc:
        if (auto n = integer(index)) return Value::datetime_utc(*n);
        break;
      case Kind::kDuration:
        if (auto n = integer(index)) return Value::duration(*n);
        break;
      case Kind::kFloat:
        if (lua_type(lua_, index) == LUA_TNUMBER) return Value::of(static_cast<double>(lua_tonumber(lua_, index)));
        break;
      case Kind::kStr:
        if (lua_type(lua_, index) == LUA_TSTRING) return Value::str(text(index));
        break;
      case Kind::kBytes:
        if (lua_type(lua_, index) == LUA_TSTRING) return Value::bytes(text(index));
        break;
      case Kind::kList:
      case Kind::kTuple:
        if (lua_istable(lua_, index)) return sequence(index, type, depth);
        break;
      case Kind::kArray:
        if (lua_istable(lua_, index)) return array(index, type);
        break;
      case Kind::kJson: return json(index, depth);
      case Kind::kAny: return any(index, depth);
      case Kind::kNone:
      case Kind::kPointer:
      case Kind::kUuid: break;
    }
    return misfit(index, type);
  }

 private:
  std::optional<Value> wrong(std::string why) {
    if (why_.empty()) why_ = std::move(why);
    return std::nullopt;
  }
  std::optional<Value> misfit(int index, const Type& type) {
    return wrong("returned " + found(lua_, index) + " where `" + type.to_text() + "` is expected");
  }
  std::string text(int index) {
    std::size_t size = 0;
    const char* data = lua_tolstring(lua_, index, &size);
    return {data, size};
  }
  std::optional<std::int64_t> integer(int index) {
    if (lua_type(lua_, index) != LUA_TNUMBER) return std::nullopt;
    int fits = 0;
    const lua_Integer n = lua_tointegerx(lua_, index, &fits);
    return fits ? std::optional<std::int64_t>(n) : std::nullopt;
  }
  // Elements, None at the end included where the table says `n`.
  lua_Integer length(int index) {
    lua_getfield(lua_, index, "n");
    lua_Integer n =
        lua_isinteger(lua_, -1) ? lua_tointeger(lua_, -1) : static_cast<lua_Integer>(lua_rawlen(lua_, index));
    lua_pop(lua_, 1);
    constexpr lua_Integer kElementsMax = 10'000'000;
    return std::clamp<lua_Integer>(n, 0, kElementsMax);
  }

  std::optional<Value> sequence(int index, const Type& type, int depth) {
    const lua_Integer n = length(index);
    const bool tuple = type.is(Kind::kTuple);
    if (tuple && static_cast<std::size_t>(n) != type.args().size())
      return wrong("returned " + std::to_string(n) + " elements where `" + type.to_text() + "` is expected");
    std::vector<Value> elements;
    for (lua_Integer i = 1; i <= n; ++i) {
      lua_rawgeti(lua_, index, i);
      auto element = read(-1, tuple ? type.args()[static_cast<std::size_t>(i - 1)] : type.element(), depth + 1);
      lua_pop(lua_, 1);
      if (!element) return std::nullopt;
      elements.push_back(std::move(*element));
    }
    return Value::tuple(std::move(elements));
  }

  bool gather(int index, std::size_t dim, NdArray& out, std::vector<double>& data, bool& ints) {
    if (dim > 32) return false;
    room(lua_);
    const lua_Integer n = length(index);
    if (out.shape.size() <= dim) out.shape.push_back(n);
    if (out.shape[dim] != n) return false;
    for (lua_Integer i = 1; i <= n; ++i) {
      lua_rawgeti(lua_, index, i);
      bool fine = false;
      if (lua_istable(lua_, -1)) {
        fine = gather(lua_absindex(lua_, -1), dim + 1, out, data, ints);
      } else if (lua_type(lua_, -1) == LUA_TNUMBER && out.shape.size() == dim + 1) {
        fine = true;
        ints = ints && lua_isinteger(lua_, -1);
        data.push_back(lua_tonumber(lua_, -1));
        if (ints) integers_.push_back(lua_tointeger(lua_, -1));
      }
      lua_pop(lua_, 1);
      if (!fine) return false;
    }
    return true;
  }
  std::optional<Value> array(int index, const Type& type) {
    NdArray out;
    std::vector<double> data;
    bool ints = true;
    integers_.clear();
    const bool fine = gather(index, 0, out, data, ints) &&
                      (type.dims() < 0 || out.shape.size() == static_cast<std::size_t>(type.dims()));
    if (!fine || (type.element().is(Kind::kInt) && !ints))
      return wrong("returned a table that is no `" + type.to_text() + "`");
    if (ints && !type.element().is(Kind::kFloat))
      out.data = std::move(integers_);
    else
      out.data = std::move(data);
    return Value::array(std::move(out));
  }

  std::optional<Value> json(int index, int depth) {
    std::string out;
    if (!append_json(index, out, depth)) return std::nullopt;
    return Value::json(std::move(out));
  }
  bool append_json(int index, std::string& out, int depth) {
    if (depth > kDepthMax) return wrong("it is nested more than 100 deep").has_value();
    room(lua_);
    index = lua_absindex(lua_, index);
    if (lua_isnil(lua_, index) || is_null(lua_, index)) {
      out += "null";
      return true;
    }
    switch (lua_type(lua_, index)) {
      case LUA_TBOOLEAN: append_json_value(Value::of(lua_toboolean(lua_, index) != 0), out); return true;
      case LUA_TNUMBER:
        append_json_value(lua_isinteger(lua_, index) ? Value::of(std::int64_t{lua_tointeger(lua_, index)})
                                                     : Value::of(static_cast<double>(lua_tonumber(lua_, index))),
                          out);
        return true;
      case LUA_TSTRING: append_json_string(text(index), out); return true;
      case LUA_TTABLE: return is_array(index) ? append_list(index, out, depth) : append_object(index, out, depth);
      default: return wrong("returned " + found(lua_, index) + " inside of json").has_value();
    }
  }
  bool is_array(int index) { return lua_rawlen(lua_, index) > 0 || is_marked_array(lua_, index); }
  bool append_list(int index, std::string& out, int depth) {
    const lua_Integer n = length(index);
    out += '[';
    for (lua_Integer i = 1; i <= n; ++i) {
      if (i > 1) out += ',';
      lua_rawgeti(lua_, index, i);
      const bool fine = append_json(-1, out, depth + 1);
      lua_pop(lua_, 1);
      if (!fine) return false;
    }
    out += ']';
    return true;
  }
  // Keys in order: the same table is the same text in every state.
  bool append_object(int index, std::string& out, int depth) {
    std::vector<std::string> keys;
    lua_pushnil(lua_);
    while (lua_next(lua_, index) != 0) {
      lua_pop(lua_, 1);
      if (lua_type(lua_, -1) != LUA_TSTRING) {
        const std::string key = found(lua_, -1);
        lua_pop(lua_, 1);
        return wrong("returned a table with " + key + " as a key, which json cannot have").has_value();
      }
      keys.push_back(text(-1));
    }
    std::ranges::sort(keys);
    out += '{';
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (i > 0) out += ',';
      append_json_string(keys[i], out);
      out += ':';
      lua_pushlstring(lua_, keys[i].data(), keys[i].size());
      lua_rawget(lua_, index);
      const bool fine = append_json(-1, out, depth + 1);
      lua_pop(lua_, 1);
      if (!fine) return false;
    }
    out += '}';
    return true;
  }

  std::optional<Value> any(int index, int depth) {
    switch (lua_type(lua_, index)) {
      case LUA_TBOOLEAN: return read(index, Kind::kBool, depth);
      case LUA_TNUMBER: return read(index, lua_isinteger(lua_, index) ? Kind::kInt : Kind::kFloat, depth);
      case LUA_TSTRING: return read(index, Kind::kStr, depth);
      case LUA_TTABLE: return is_array(index) ? sequence(index, Type::list(Kind::kAny), depth) : json(index, depth);
      default: return misfit(index, Kind::kAny);
    }
  }

  lua_State* lua_;
  std::string& why_;
  std::vector<std::int64_t> integers_;
};

}  // namespace

void push_null(lua_State* lua) { lua_pushlightuserdata(lua, const_cast<char*>(&kNull)); }

void push_value(lua_State* lua, const Value& value, bool inside) {
  room(lua);
  switch (value.tag()) {
    case Value::Tag::kNone:
    case Value::Tag::kError:
    case Value::Tag::kPending: return inside ? push_null(lua) : lua_pushnil(lua);
    case Value::Tag::kBool: lua_pushboolean(lua, value.as_bool()); return;
    case Value::Tag::kInt:
    case Value::Tag::kDateTimeNaive:
    case Value::Tag::kDateTimeUtc:
    case Value::Tag::kDuration: lua_pushinteger(lua, value.as_int()); return;
    case Value::Tag::kFloat: lua_pushnumber(lua, value.as_float()); return;
    case Value::Tag::kStr:
    case Value::Tag::kBytes: lua_pushlstring(lua, value.as_text().data(), value.as_text().size()); return;
    case Value::Tag::kPointer:
    case Value::Tag::kUuid: {
      const std::string text = value.to_text();
      lua_pushlstring(lua, text.data(), text.size());
      return;
    }
    case Value::Tag::kJson: return push_json(lua, value.as_text(), inside);
    case Value::Tag::kTuple: {
      const std::vector<Value>& elements = value.as_tuple();
      lua_createtable(lua, static_cast<int>(std::min<std::size_t>(elements.size(), 1U << 20)), 0);
      for (std::size_t i = 0; i < elements.size(); ++i) {
        push_value(lua, elements[i], true);
        lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
      }
      mark_as_array(lua);
      return;
    }
    case Value::Tag::kArray: {
      std::size_t next = 0;
      return push_array(lua, value.as_array(), 0, next);
    }
  }
}

void push_cell(lua_State* lua, const Type& type, const Column& column, std::size_t row) {
  if (column.tag(row) != CellTag::kValue) return lua_pushnil(lua);
  switch (type.kind()) {
    case Kind::kBool: lua_pushboolean(lua, column.u8()[row] != 0); return;
    case Kind::kInt:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kDuration: lua_pushinteger(lua, column.i64()[row]); return;
    case Kind::kFloat: lua_pushnumber(lua, column.f64()[row]); return;
    case Kind::kStr:
    case Kind::kBytes: {
      const StrView& view = column.views()[row];
      lua_pushlstring(lua, view.data(), view.size());
      return;
    }
    case Kind::kJson: return push_json(lua, column.views()[row].view(), false);
    case Kind::kNone:
    case Kind::kPointer:
    case Kind::kUuid:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: return push_value(lua, column.value(type, row), false);
  }
}

bool take_cell(lua_State* lua, const Type& type, ColumnBuilder& out, std::string& why) {
  // What most functions return, without a Value in between.
  if (type.is(Kind::kInt) && lua_isinteger(lua, -1)) return out.push_int(lua_tointeger(lua, -1)), true;
  if (type.is(Kind::kFloat) && lua_type(lua, -1) == LUA_TNUMBER) return out.push_float(lua_tonumber(lua, -1)), true;
  if (type.is(Kind::kBool) && lua_isboolean(lua, -1)) return out.push_bool(lua_toboolean(lua, -1) != 0), true;
  if (type.is(Kind::kStr) && lua_type(lua, -1) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* text = lua_tolstring(lua, -1, &size);
    return out.push_text({text, size}), true;
  }
  auto value = Reader(lua, why).read(-1, type);
  if (!value) return false;
  out.push_value(type, *value);
  return true;
}

}  // namespace thalweg::functions
