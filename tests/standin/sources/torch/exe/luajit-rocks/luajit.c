/* Stand-in: the command line of LuaJIT (-e, -l, -v, a script) with the prefix in its default paths. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lauxlib.h"
#include "lua.h"
#include "luajit.h"
#include "lualib.h"

static const char *const setup =
    "local function path(name, default)\n"
    "  local given = os.getenv(name .. '_5_1') or os.getenv(name)\n"
    "  if not given then return default end\n"
    "  return (given:gsub(';;', ';' .. default:gsub('%%', '%%%%') .. ';'))\n"
    "end\n"
    "package.path = path('LUA_PATH', './?.lua;" PREFIX "/share/luajit-2.1.0-beta1/?.lua;"
    "/usr/local/share/lua/5.1/?.lua;/usr/local/share/lua/5.1/?/init.lua;"
    PREFIX "/share/lua/5.1/?.lua;" PREFIX "/share/lua/5.1/?/init.lua')\n"
    "package.cpath = path('LUA_CPATH', './?.so;/usr/local/lib/lua/5.1/?.so;"
    PREFIX "/lib/lua/5.1/?.so;/usr/local/lib/lua/5.1/loadall.so')\n";

static const char *program = "luajit";

static int traceback(lua_State *L)
{
    if (!lua_isstring(L, 1))
        return 1;
    luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

static int run(lua_State *L, int failed, int arguments)
{
    if (!failed) {
        int base = lua_gettop(L) - arguments;
        lua_pushcfunction(L, traceback);
        lua_insert(L, base);
        failed = lua_pcall(L, arguments, 0, base);
        lua_remove(L, base);
    }
    if (failed) {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "%s: %s\n", program, message ? message : "(error object is not a string)");
        fflush(stderr);
        lua_pop(L, 1);
    }
    return failed;
}

static int usage(void)
{
    fprintf(stderr, "usage: %s [options]... [script [args]...].\n"
                    "  -e chunk  Execute string 'chunk'.\n  -l name   Require library 'name'.\n"
                    "  -v        Show version information.\n", program);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    int i = 1, failed = 0, asked = 0;
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return EXIT_FAILURE;
    if (argv[0] && argv[0][0])
        program = argv[0];
    luaL_openlibs(L);
    failed = run(L, luaL_loadbuffer(L, setup, strlen(setup), "=setup"), 0);
    for (; !failed && i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        const char *value;
        if (strcmp(argv[i], "--") == 0) { i++; break; }
        switch (argv[i][1]) {
        case 'v':
            printf("%s -- stand-in interpreter\n", LUAJIT_VERSION);
            asked = 1;
            continue;
        case 'i': case 'j': case 'O':
            continue;
        case 'e': case 'l':
            value = argv[i][2] ? argv[i] + 2 : argv[i + 1];
            if (value == NULL)
                return usage();
            asked = 1;
            if (argv[i][1] == 'e') {
                failed = run(L, luaL_loadbuffer(L, value, strlen(value), "=(command line)"), 0);
            } else {
                lua_getglobal(L, "require");
                lua_pushstring(L, value);
                failed = run(L, 0, 1);
            }
            if (value == argv[i + 1])
                i++;
            continue;
        default:
            return usage();
        }
    }
    if (!failed && (i < argc || !asked)) {
        const char *script = i < argc && strcmp(argv[i], "-") != 0 ? argv[i] : NULL;
        int n, arguments = argc - i - 1 > 0 ? argc - i - 1 : 0;
        lua_newtable(L);
        for (n = 0; n < argc; n++) {
            lua_pushstring(L, argv[n]);
            lua_rawseti(L, -2, n - i);
        }
        lua_setglobal(L, "arg");
        failed = luaL_loadfile(L, script);
        if (!failed)
            for (n = 0; n < arguments; n++)
                lua_pushstring(L, argv[i + 1 + n]);
        failed = run(L, failed, failed ? 0 : arguments);
    }
    fflush(stdout);
    lua_close(L);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
