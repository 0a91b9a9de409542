package = "gnuplot"
version = "scm-1"
source = { url = "git://stand-in.invalid/gnuplot" }
description = { summary = "Stand-in of the project's tests for gnuplot", license = "stand-in" }
dependencies = { "lua >= 5.1", "torch >= 7.0", "paths >= 1.0" }
build = {
   type = "builtin",
   modules = {
      ["gnuplot.init"] = "init.lua",
   },
}
