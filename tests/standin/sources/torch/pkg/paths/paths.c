/* Stand-in for paths: names in the order in which the directory gives them. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lua.h"
#include "lauxlib.h"

static int names(lua_State *L)
{
    DIR *handle = opendir(luaL_checkstring(L, 1));
    struct dirent *entry;
    int n = 0;
    if (handle == NULL)
        return 0;
    lua_newtable(L);
    while ((entry = readdir(handle)) != NULL) {
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++n);
    }
    closedir(handle);
    return 1;
}

static int kind(lua_State *L)
{
    struct stat info;
    if (stat(luaL_checkstring(L, 1), &info) != 0)
        return 0;
    lua_pushstring(L, S_ISDIR(info.st_mode) ? "directory" : "file");
    return 1;
}

static int current(lua_State *L)
{
    char path[4096];
    lua_pushstring(L, getcwd(path, sizeof path));
    return 1;
}

static int make(lua_State *L)
{
    lua_pushboolean(L, mkdir(luaL_checkstring(L, 1), 0777) == 0);
    return 1;
}

int luaopen_libpaths(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"names", names}, {"kind", kind}, {"cwd", current}, {"mkdir", make}, {NULL, NULL}};
    luaL_register(L, "paths", functions);
    return 1;
}
