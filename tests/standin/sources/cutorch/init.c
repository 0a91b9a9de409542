/* Stand-in: the C half of cutorch. It asks for devices as soon as it is opened, as upstream's does. */
#include "luaT.h"
#include "THC.h"

static THCState state;
static lua_State *lua;

THCState *cutorch_getTHCState(void) { return &state; }

static void raise_error(const char *message) { luaL_error(lua, "%s", message); }

static int device_of(lua_State *L, int index)
{
    lua = L;
    return (int)luaL_checknumber(L, index) - 1; /* Lua counts from 1 */
}

static int get_device_count(lua_State *L)
{
    int count;
    lua = L;
    THCudaCheck(cudaGetDeviceCount(&count));
    lua_pushnumber(L, count);
    return 1;
}

static int get_device(lua_State *L)
{
    int device;
    lua = L;
    THCudaCheck(cudaGetDevice(&device));
    lua_pushnumber(L, device + 1);
    return 1;
}

static int set_device(lua_State *L)
{
    THCudaCheck(cudaSetDevice(device_of(L, 1)));
    return 0;
}

static int get_device_properties(lua_State *L)
{
    struct cudaDeviceProp prop;
    THCudaCheck(cudaGetDeviceProperties(&prop, device_of(L, 1)));
    lua_newtable(L);
    lua_pushstring(L, prop.name);
    lua_setfield(L, -2, "name");
    lua_pushnumber(L, prop.major);
    lua_setfield(L, -2, "major");
    lua_pushnumber(L, prop.minor);
    lua_setfield(L, -2, "minor");
    lua_pushnumber(L, (lua_Number)prop.totalGlobalMem);
    lua_setfield(L, -2, "totalGlobalMem");
    lua_pushnumber(L, prop.multiProcessorCount);
    lua_setfield(L, -2, "multiProcessorCount");
    lua_pushnumber(L, prop.warpSize);
    lua_setfield(L, -2, "warpSize");
    return 1;
}

/* getMemoryUsage([device]): the free bytes and all. */
static int get_memory_usage(lua_State *L)
{
    size_t free_bytes, total;
    int device;
    lua = L;
    THCudaCheck(cudaGetDevice(&device));
    if (!lua_isnoneornil(L, 1))
        THCudaCheck(cudaSetDevice(device_of(L, 1)));
    THCudaCheck(cudaMemGetInfo(&free_bytes, &total));
    THCudaCheck(cudaSetDevice(device));
    lua_pushnumber(L, (lua_Number)free_bytes);
    lua_pushnumber(L, (lua_Number)total);
    return 2;
}

static int manual_seed(lua_State *L)
{
    lua = L;
    THCRandom_manualSeed(&state, (unsigned long long)luaL_checknumber(L, 1));
    return 0;
}

static int synchronize(lua_State *L)
{
    lua = L;
    THCudaCheck(cudaDeviceSynchronize());
    return 0;
}

static int get_stream(lua_State *L)
{
    lua_pushnumber(L, 0);
    return 1;
}

int luaopen_libcutorch(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"getDeviceCount", get_device_count},
        {"getDevice", get_device},
        {"setDevice", set_device},
        {"getDeviceProperties", get_device_properties},
        {"getMemoryUsage", get_memory_usage},
        {"manualSeed", manual_seed},
        {"manualSeedAll", manual_seed},
        {"synchronize", synchronize},
        {"getStream", get_stream},
        {NULL, NULL},
    };
    int version;
    lua = L;
    luaT_register(L, functions);
    lua_pushvalue(L, -1);
    lua_setglobal(L, "cutorch");
    THCSetErrorHandler(raise_error);
    THCudaInit(&state);
    THCudaCheck(cudaDriverGetVersion(&version));
    lua_pushnumber(L, version);
    lua_setfield(L, -2, "driverVersion");
    THCudaCheck(cudaRuntimeGetVersion(&version));
    lua_pushnumber(L, version);
    lua_setfield(L, -2, "runtimeVersion");
    return 1;
}
