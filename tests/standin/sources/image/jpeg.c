/* Stand-in: load(file) gives width, height and the RGB bytes, row by row. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>
#include "luaT.h"

struct handler {
    struct jpeg_error_mgr manager;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr info)
{
    struct handler *handler = (struct handler *)info->err;
    info->err->format_message(info, handler->text);
    longjmp(handler->back, 1);
}

static void quiet(j_common_ptr info, int level)
{
    (void)info;
    (void)level;
}

static int load(lua_State *L)
{
    struct jpeg_decompress_struct info;
    struct handler handler;
    unsigned char *volatile pixels = NULL;
    FILE *file = fopen(luaL_checkstring(L, 1), "rb");
    if (file == NULL)
        return luaL_error(L, "cannot open file <%s> for reading", lua_tostring(L, 1));
    info.err = jpeg_std_error(&handler.manager);
    handler.manager.error_exit = fail;
    handler.manager.emit_message = quiet;
    if (setjmp(handler.back)) {
        jpeg_destroy_decompress(&info);
        free(pixels);
        fclose(file);
        return luaL_error(L, "%s", handler.text);
    }
    jpeg_create_decompress(&info);
    jpeg_stdio_src(&info, file);
    jpeg_read_header(&info, TRUE);
    if (info.jpeg_color_space != JCS_YCCK && info.jpeg_color_space != JCS_CMYK)
        info.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info);
    {
        size_t row = (size_t)info.output_width * info.output_components, step = 0, y, x;
        pixels = malloc((size_t)info.output_width * info.output_height * 3 + row);
        while (info.output_scanline < info.output_height) {
            unsigned char *line = pixels + (y = info.output_scanline) * info.output_width * 3;
            jpeg_read_scanlines(&info, &line, 1);
            step = info.output_components;
            for (x = 0; step == 4 && x < info.output_width; x++) { /* inverted CMYK */
                line[3 * x] = line[4 * x] * line[4 * x + 3] / 255;
                line[3 * x + 1] = line[4 * x + 1] * line[4 * x + 3] / 255;
                line[3 * x + 2] = line[4 * x + 2] * line[4 * x + 3] / 255;
            }
        }
    }
    lua_pushinteger(L, info.output_width);
    lua_pushinteger(L, info.output_height);
    lua_pushlstring(L, (const char *)pixels, (size_t)info.output_width * info.output_height * 3);
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    free(pixels);
    fclose(file);
    return 3;
}

int luaopen_libjpeg(lua_State *L)
{
    static const luaL_Reg functions[] = {{"load", load}, {NULL, NULL}};
    luaT_register(L, functions);
    return 1;
}
