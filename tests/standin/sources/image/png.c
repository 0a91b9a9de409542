/* Stand-in: load(file) and save(file, width, height, bytes), RGB bytes, row by row. */
#include <string.h>
#include <png.h>
#include "luaT.h"

static int load(lua_State *L)
{
    png_image image;
    void *pixels;
    size_t bytes;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&image, luaL_checkstring(L, 1)))
        return luaL_error(L, "%s", image.message);
    image.format = PNG_FORMAT_RGB;
    bytes = PNG_IMAGE_SIZE(image);
    pixels = lua_newuserdata(L, bytes);
    if (!png_image_finish_read(&image, NULL, pixels, 0, NULL))
        return luaL_error(L, "%s", image.message);
    lua_pushinteger(L, (lua_Integer)image.width);
    lua_pushinteger(L, (lua_Integer)image.height);
    lua_pushlstring(L, pixels, bytes);
    return 3;
}

static int save(lua_State *L)
{
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = (png_uint_32)luaL_checkinteger(L, 2);
    image.height = (png_uint_32)luaL_checkinteger(L, 3);
    image.format = PNG_FORMAT_RGB;
    if (!png_image_write_to_file(&image, luaL_checkstring(L, 1), 0, luaL_checkstring(L, 4), 0, NULL))
        return luaL_error(L, "%s", image.message);
    return 0;
}

int luaopen_liblua_png(lua_State *L)
{
    static const luaL_Reg functions[] = {{"load", load}, {"save", save}, {NULL, NULL}};
    luaT_register(L, functions);
    return 1;
}
