package = "moses"
version = "1.6.1-1"
source = { url = "git://stand-in.invalid/moses" }
description = { summary = "Stand-in of the project's tests for moses", license = "stand-in" }
dependencies = { "lua >= 5.1" }
build = {
   type = "builtin",
   modules = {
      moses = "moses.lua",
   },
}
