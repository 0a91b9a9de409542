package = "penlight"
version = "scm-1"
source = { url = "git://stand-in.invalid/penlight" }
description = { summary = "Stand-in of the project's tests for penlight", license = "stand-in" }
dependencies = { "luafilesystem" }
build = {
   type = "builtin",
   modules = {
      ["pl.init"] = "lua/pl/init.lua",
      ["pl.path"] = "lua/pl/path.lua",
      ["pl.stringx"] = "lua/pl/stringx.lua",
   },
}
