package = "env"
version = "scm-1"
source = { url = "git://stand-in.invalid/env" }
description = { summary = "Stand-in of the project's tests for env", license = "stand-in" }
dependencies = { "torch >= 7.0", "dok" }
build = {
   type = "builtin",
   modules = {
      ["env.init"] = "init.lua",
   },
}
