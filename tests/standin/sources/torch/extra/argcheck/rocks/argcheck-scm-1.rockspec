package = "argcheck"
version = "scm-1"
source = { url = "git://stand-in.invalid/argcheck" }
description = { summary = "Stand-in of the project's tests for argcheck", license = "stand-in" }
dependencies = { "lua >= 5.1", "sundown >= 1.0" }
build = {
   type = "builtin",
   modules = {
      ["argcheck.init"] = "init.lua",
   },
}
