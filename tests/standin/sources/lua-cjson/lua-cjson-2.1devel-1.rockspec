package = "lua-cjson"
version = "2.1devel-1"
source = { url = "git://stand-in.invalid/lua-cjson" }
description = { summary = "Stand-in of the project's tests for lua-cjson", license = "stand-in" }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = { cjson = { sources = { "lua_cjson.c", "decode.c" } } },
   install = { bin = { json2lua = "lua/json2lua.lua" } },
}
