/* Stand-in: LuaJIT brings its own FFI; upstream's rock is there for plain Lua. */
#include "lua.h"
#include "lauxlib.h"

int luaopen_luaffi(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "ffi");
    lua_call(L, 1, 1);
    return 1;
}
