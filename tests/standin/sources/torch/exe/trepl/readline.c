/* Stand-in: reads a line with readline. curses.h is included because upstream's package list names ncurses. */
#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <readline/history.h>
#include <readline/readline.h>
#include "lua.h"
#include "lauxlib.h"

static int ask(lua_State *L)
{
    char *line = readline(luaL_checkstring(L, 1));
    if (line == NULL)
        return 0;
    add_history(line);
    lua_pushstring(L, line);
    free(line);
    return 1;
}

int luaopen_readline(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, ask);
    lua_setfield(L, -2, "readline");
    return 1;
}
