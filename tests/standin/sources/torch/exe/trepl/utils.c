#include <unistd.h>
#include "lua.h"
#include "lauxlib.h"

static int terminal(lua_State *L)
{
    lua_pushboolean(L, isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
    return 1;
}

int luaopen_treplutils(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, terminal);
    lua_setfield(L, -2, "isatty");
    return 1;
}
