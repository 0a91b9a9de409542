/* Stand-in for lua-cjson: encode, decode, encode_sparse_array, null. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "json.h"

static struct { int convert, ratio, safe; } sparse = {0, 2, 10};
static struct { char *data; size_t used, room; } out; /* kept from call to call */

static void put_value(lua_State *L, int at, int depth);

static void put(const char *text, size_t n)
{
    if (out.used + n > out.room) {
        out.room = 2 * (out.used + n) + 1024;
        out.data = realloc(out.data, out.room);
    }
    memcpy(out.data + out.used, text, n);
    out.used += n;
}

static void put_char(char c) { put(&c, 1); }
static void put_text(const char *text) { put(text, strlen(text)); }

static void put_string(const char *text, size_t n)
{
    char escape[8];
    put_char('"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\' || c == '/') {
            put_char('\\');
            put_char((char)c);
        } else if (c == '\n') {
            put_text("\\n");
        } else if (c == '\t') {
            put_text("\\t");
        } else if (c < 32 || c == 127) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            put_text(escape);
        } else {
            put_char((char)c);
        }
    }
    put_char('"');
}

static void put_number(lua_State *L, double value)
{
    char text[40];
    if (isnan(value) || isinf(value))
        luaL_error(L, "Cannot serialise number: must not be NaN or Inf");
    snprintf(text, sizeof text, "%.14g", value);
    put_text(text);
}

/* The length of an array; -1: an object. */
static int array_length(lua_State *L, int at)
{
    int max = 0, items = 0;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (key < 1 || key != floor(key)) {
            lua_pop(L, 2);
            return -1;
        }
        if (key > max)
            max = (int)key;
        items++;
    }
    if (items == 0)
        return -1;
    if (sparse.ratio > 0 && max > items * sparse.ratio && max > sparse.safe) {
        if (!sparse.convert)
            luaL_error(L, "Cannot serialise table: excessively sparse array");
        return -1;
    }
    return max;
}

static void put_array(lua_State *L, int at, int n, int depth)
{
    put_char('[');
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            put_char(',');
        lua_rawgeti(L, at, i);
        put_value(L, lua_gettop(L), depth);
        lua_pop(L, 1);
    }
    put_char(']');
}

static void put_object(lua_State *L, int at, int depth)
{
    int first = 1;
    put_char('{');
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        int top = lua_gettop(L);
        if (!first)
            put_char(',');
        first = 0;
        if (lua_type(L, top - 1) == LUA_TNUMBER) {
            put_char('"');
            put_number(L, lua_tonumber(L, top - 1));
            put_char('"');
        } else if (lua_type(L, top - 1) == LUA_TSTRING) {
            size_t n;
            const char *key = lua_tolstring(L, top - 1, &n);
            put_string(key, n);
        } else {
            luaL_error(L, "Cannot serialise table: table key must be a number or string");
        }
        put_char(':');
        put_value(L, top, depth);
    }
    put_char('}');
}

static void put_value(lua_State *L, int at, int depth)
{
    size_t n;
    const char *text;
    int length;
    if (depth > 1000)
        luaL_error(L, "Cannot serialise, excessive depth (%d)", depth);
    switch (lua_type(L, at)) {
    case LUA_TSTRING:
        text = lua_tolstring(L, at, &n);
        put_string(text, n);
        break;
    case LUA_TNUMBER:
        put_number(L, lua_tonumber(L, at));
        break;
    case LUA_TBOOLEAN:
        put_text(lua_toboolean(L, at) ? "true" : "false");
        break;
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA:
        put_text("null");
        break;
    case LUA_TTABLE:
        length = array_length(L, at);
        if (length < 0)
            put_object(L, at, depth + 1);
        else
            put_array(L, at, length, depth + 1);
        break;
    default:
        luaL_error(L, "Cannot serialise %s: type not supported", lua_typename(L, lua_type(L, at)));
    }
}

static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    out.used = 0;
    put_value(L, 1, 0);
    lua_pushlstring(L, out.data, out.used);
    return 1;
}

static int encode_sparse_array(lua_State *L)
{
    if (!lua_isnoneornil(L, 1))
        sparse.convert = lua_toboolean(L, 1);
    sparse.ratio = (int)luaL_optinteger(L, 2, sparse.ratio);
    sparse.safe = (int)luaL_optinteger(L, 3, sparse.safe);
    return 0;
}

int luaopen_cjson(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", json_decode}, {"encode", encode}, {"encode_sparse_array", encode_sparse_array}, {NULL, NULL}};
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_pushliteral(L, "2.1devel");
    lua_setfield(L, -2, "_VERSION");
    return 1;
}
