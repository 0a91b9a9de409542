/* Stand-in: the few calls of LuaFileSystem that the rocks use. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lauxlib.h"
#include "lua.h"

static int outcome(lua_State *L, int failed)
{
    if (!failed) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
}

static int make(lua_State *L) { return outcome(L, mkdir(luaL_checkstring(L, 1), 0777)); }
static int removed(lua_State *L) { return outcome(L, rmdir(luaL_checkstring(L, 1))); }
static int change(lua_State *L) { return outcome(L, chdir(luaL_checkstring(L, 1))); }

static int current(lua_State *L)
{
    char path[4096];
    if (getcwd(path, sizeof path) == NULL)
        return outcome(L, 1);
    lua_pushstring(L, path);
    return 1;
}

static int attributes(lua_State *L)
{
    struct stat info;
    const char *wanted = lua_isstring(L, 2) ? lua_tostring(L, 2) : NULL;
    if (stat(luaL_checkstring(L, 1), &info) != 0)
        return outcome(L, 1);
    lua_newtable(L);
    lua_pushstring(L, S_ISDIR(info.st_mode) ? "directory" : S_ISREG(info.st_mode) ? "file" : "other");
    lua_setfield(L, -2, "mode");
    lua_pushnumber(L, (lua_Number)info.st_size);
    lua_setfield(L, -2, "size");
    lua_pushnumber(L, (lua_Number)info.st_mtime);
    lua_setfield(L, -2, "modification");
    if (wanted)
        lua_getfield(L, -1, wanted);
    return 1;
}

static int next_name(lua_State *L)
{
    lua_Number at = lua_tonumber(L, lua_upvalueindex(2)) + 1;
    lua_pushnumber(L, at);
    lua_replace(L, lua_upvalueindex(2));
    lua_rawgeti(L, lua_upvalueindex(1), (int)at);
    return 1;
}

static int dir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    DIR *handle = opendir(path);
    struct dirent *entry;
    int n = 0;
    if (handle == NULL)
        return luaL_error(L, "cannot open %s: %s", path, strerror(errno));
    lua_newtable(L);
    while ((entry = readdir(handle)) != NULL) {
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++n);
    }
    closedir(handle);
    lua_pushnumber(L, 0);
    lua_pushcclosure(L, next_name, 2);
    return 1;
}

int luaopen_lfs(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"attributes", attributes}, {"chdir", change}, {"currentdir", current}, {"dir", dir},
        {"mkdir", make}, {"rmdir", removed}, {NULL, NULL}};
    luaL_register(L, "lfs", functions);
    return 1;
}
