#ifndef STANDIN_JSON_H
#define STANDIN_JSON_H
#include "lauxlib.h"
#include "lua.h"
int json_decode(lua_State *L);
#endif
