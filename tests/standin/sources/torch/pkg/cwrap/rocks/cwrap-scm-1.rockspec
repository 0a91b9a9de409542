package = "cwrap"
version = "scm-1"
source = { url = "git://stand-in.invalid/cwrap" }
description = { summary = "Stand-in of the project's tests for cwrap", license = "stand-in" }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = {
      ["cwrap.init"] = "init.lua",
   },
}
