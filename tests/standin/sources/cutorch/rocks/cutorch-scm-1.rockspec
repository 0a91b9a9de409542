package = "cutorch"
version = "scm-1"
source = { url = "git://stand-in.invalid/cutorch" }
description = { summary = "Stand-in of the project's tests for cutorch", license = "stand-in" }
dependencies = { "torch >= 7.0" }
build = {
   type = "command",
   build_command = [[
cmake -E make_directory build && cd build && cmake .. -DLUALIB="$(LUALIB)" -DLUA_INCDIR="$(LUA_INCDIR)" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$(LUA_BINDIR)/.." -DCMAKE_INSTALL_PREFIX="$(PREFIX)" && $(MAKE)
]],
   install_command = "cd build && $(MAKE) install",
}
