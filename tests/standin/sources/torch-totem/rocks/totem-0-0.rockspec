package = "totem"
version = "0-0"
source = { url = "git://stand-in.invalid/totem" }
description = { summary = "Stand-in of the project's tests for totem", license = "stand-in" }
dependencies = { "torch >= 7.0", "sys", "penlight", "nn", "nngraph" }
build = {
   type = "builtin",
   modules = {
      ["totem.init"] = "totem/init.lua",
      ["totem.Tester"] = "totem/Tester.lua",
   },
   install = { bin = { "scripts/totem-run" } },
}
