package = "threads"
version = "scm-1"
source = { url = "git://stand-in.invalid/threads" }
description = { summary = "Stand-in of the project's tests for threads", license = "stand-in" }
dependencies = { "lua >= 5.1", "torch >= 7.0" }
build = {
   type = "command",
   build_command = [[
cmake -E make_directory build && cd build && cmake .. -DLUALIB=$(LUALIB) -DLUA_INCDIR=$(LUA_INCDIR) -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$(LUA_BINDIR)/.." -DCMAKE_INSTALL_PREFIX="$(PREFIX)" && $(MAKE)
]],
   install_command = "cd build && $(MAKE) install",
}
