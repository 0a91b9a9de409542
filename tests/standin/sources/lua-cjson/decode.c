/* Stand-in for lua-cjson: the reader. */
#include <stdlib.h>
#include <string.h>
#include "json.h"

struct input {
    lua_State *L;
    const char *start, *at, *end;
};

static void get_value(struct input *in, int depth);

static void expected(struct input *in, const char *what)
{
    luaL_error(in->L, "Expected %s at character %d", what, (int)(in->at - in->start) + 1);
}

static char peek(struct input *in)
{
    while (in->at < in->end && strchr(" \t\r\n", *in->at) && *in->at)
        in->at++;
    return in->at < in->end ? *in->at : '\0';
}

static void skip(struct input *in, char c, const char *what)
{
    if (peek(in) != c)
        expected(in, what);
    in->at++;
}

static size_t utf8(unsigned code, char *to)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xC0 | code >> 6);
        to[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    to[0] = (char)(0xE0 | code >> 12);
    to[1] = (char)(0x80 | (code >> 6 & 63));
    to[2] = (char)(0x80 | (code & 63));
    return 3;
}

static void get_string(struct input *in)
{
    char *text = malloc((size_t)(in->end - in->at) + 4);
    size_t n = 0;
    in->at++;
    while (in->at < in->end && *in->at != '"') {
        static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
        const char *known;
        if (*in->at != '\\') {
            text[n++] = *in->at++;
            continue;
        }
        in->at++;
        if (*in->at == 'u' && in->end - in->at > 4) {
            char digits[5] = {in->at[1], in->at[2], in->at[3], in->at[4], 0};
            n += utf8((unsigned)strtoul(digits, NULL, 16), text + n);
            in->at += 5;
            continue;
        }
        known = strchr(names, *in->at);
        text[n++] = known && *known ? values[known - names] : *in->at;
        in->at++;
    }
    lua_pushlstring(in->L, text, n);
    free(text);
    if (in->at >= in->end)
        expected(in, "the end of a string");
    in->at++;
}

static void get_array(struct input *in, int depth)
{
    int n = 0;
    lua_newtable(in->L);
    in->at++;
    if (peek(in) == ']') {
        in->at++;
        return;
    }
    for (;;) {
        get_value(in, depth);
        lua_rawseti(in->L, -2, ++n);
        if (peek(in) != ',')
            break;
        in->at++;
    }
    skip(in, ']', "comma or array end");
}

static void get_object(struct input *in, int depth)
{
    lua_newtable(in->L);
    in->at++;
    if (peek(in) == '}') {
        in->at++;
        return;
    }
    for (;;) {
        if (peek(in) != '"')
            expected(in, "object key string");
        get_string(in);
        skip(in, ':', "colon");
        get_value(in, depth);
        lua_rawset(in->L, -3);
        if (peek(in) != ',')
            break;
        in->at++;
    }
    skip(in, '}', "comma or object end");
}

static int word(struct input *in, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(in->end - in->at) < n || memcmp(in->at, text, n) != 0)
        return 0;
    in->at += n;
    return 1;
}

static void get_value(struct input *in, int depth)
{
    char c = peek(in);
    char *end;
    luaL_checkstack(in->L, 4, "JSON");
    if (depth > 1000)
        luaL_error(in->L, "Found too many nested data structures (%d)", depth);
    if (c == '{') get_object(in, depth + 1);
    else if (c == '[') get_array(in, depth + 1);
    else if (c == '"') get_string(in);
    else if (word(in, "true")) lua_pushboolean(in->L, 1);
    else if (word(in, "false")) lua_pushboolean(in->L, 0);
    else if (word(in, "null")) lua_pushlightuserdata(in->L, NULL);
    else {
        double number = c ? strtod(in->at, &end) : 0;
        if (!c || end == in->at)
            expected(in, "value but found invalid token");
        in->at = end;
        lua_pushnumber(in->L, number);
    }
}

int json_decode(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    struct input in = {L, text, text, text + n};
    get_value(&in, 0);
    if (peek(&in) != '\0')
        expected(&in, "the end");
    return 1;
}
