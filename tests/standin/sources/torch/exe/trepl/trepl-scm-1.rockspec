package = "trepl"
version = "scm-1"
source = { url = "git://stand-in.invalid/trepl" }
description = { summary = "Stand-in of the project's tests for trepl", license = "stand-in" }
dependencies = { "torch >= 7.0", "penlight >= 1.1.0" }
build = {
   type = "builtin",
   modules = {
      ["trepl.init"] = "init.lua",
      readline = { sources = { "readline.c" }, libraries = { "readline" } },
      treplutils = { sources = { "utils.c" } },
   },
   install = { bin = { "th" } },
}
