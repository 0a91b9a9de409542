/* Stand-in: the C half of torch. Its only task is to need libTH, and libopenblas behind it, at every require. */
#include "luaT.h"
#include "TH.h"

static int linear_algebra(lua_State *L)
{
    lua_pushboolean(L, TH_linearAlgebra());
    return 1;
}

int luaopen_libtorch(lua_State *L)
{
    static const luaL_Reg functions[] = {{"linearAlgebra", linear_algebra}, {NULL, NULL}};
    luaT_register(L, functions);
    return 1;
}
