package = "nnx"
version = "0.1-1"
source = { url = "git://stand-in.invalid/nnx" }
description = { summary = "Stand-in of the project's tests for nnx", license = "stand-in" }
dependencies = { "torch >= 7.0", "xlua >= 1.0" }
build = {
   type = "command",
   build_command = [[
cmake -E make_directory build && cd build && cmake .. -DLUALIB=$(LUALIB) -DLUA_INCDIR="$(LUA_INCDIR)" -DLUA_LIBDIR="$(LUA_LIBDIR)" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$(LUA_BINDIR)/.." -DCMAKE_INSTALL_PREFIX="$(PREFIX)" && $(MAKE)
]],
   install_command = "cd build && $(MAKE) install",
}
