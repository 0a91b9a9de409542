package = "luaffi"
version = "scm-1"
source = { url = "git://stand-in.invalid/luaffi" }
description = { summary = "Stand-in of the project's tests for luaffi", license = "stand-in" }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = {
      luaffi = "luaffi.c",
   },
}
