package = "sundown"
version = "scm-1"
source = { url = "git://stand-in.invalid/sundown" }
description = { summary = "Stand-in of the project's tests for sundown", license = "stand-in" }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = {
      ["sundown.init"] = "init.lua",
      ["sundown.ascii"] = "ascii.lua",
      libsundown = "sundown.c",
   },
}
