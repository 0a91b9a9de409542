package = "xlua"
version = "1.0-0"
source = { url = "git://stand-in.invalid/xlua" }
description = { summary = "Stand-in of the project's tests for xlua", license = "stand-in" }
dependencies = { "torch >= 7.0", "sys >= 1.0" }
build = {
   type = "builtin",
   modules = {
      ["xlua.init"] = "init.lua",
   },
}
