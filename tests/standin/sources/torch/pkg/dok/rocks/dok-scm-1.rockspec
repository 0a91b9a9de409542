package = "dok"
version = "scm-1"
source = { url = "git://stand-in.invalid/dok" }
description = { summary = "Stand-in of the project's tests for dok", license = "stand-in" }
dependencies = { "lua >= 5.1", "sundown >= 1.0" }
build = {
   type = "builtin",
   modules = {
      ["dok.init"] = "init.lua",
   },
}
