/* Stand-in: strips the marks of Markdown's emphasis. */
#include <stdlib.h>
#include <string.h>
#include "lua.h"
#include "lauxlib.h"

static int plain(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (; *text; text++)
        if (strchr("*_`", *text) == NULL)
            luaL_addchar(&out, *text);
    luaL_pushresult(&out);
    return 1;
}

int luaopen_libsundown(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, plain);
    lua_setfield(L, -2, "plain");
    return 1;
}
