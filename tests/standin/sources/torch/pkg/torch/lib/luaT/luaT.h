#ifndef STANDIN_LUAT_H
#define STANDIN_LUAT_H
/* Stand-in: registers C functions under a global table. */
#include "lua.h"
#include "lauxlib.h"
#ifdef __cplusplus
extern "C"
#endif
void luaT_register(lua_State *L, const luaL_Reg *functions);
#endif
