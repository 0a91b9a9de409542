package = "LuaFileSystem"
version = "1.6.3-1"
source = { url = "git://stand-in.invalid/LuaFileSystem" }
description = { summary = "Stand-in of the project's tests for LuaFileSystem", license = "stand-in" }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = {
      lfs = "src/lfs.c",
   },
}
