package = "torch"
version = "scm-1"
source = { url = "git://stand-in.invalid/torch" }
description = { summary = "Stand-in of the project's tests for torch", license = "stand-in" }
dependencies = { "lua >= 5.1", "paths >= 1.0", "cwrap >= 1.0" }
build = {
   type = "command",
   build_command = [[
cmake -E make_directory build && cd build && cmake .. -DCMAKE_BUILD_TYPE=Release -DLUA=$(LUA) -DLUALIB=$(LUALIB) -DLUA_BINDIR="$(LUA_BINDIR)" -DLUA_INCDIR="$(LUA_INCDIR)" -DLUA_LIBDIR="$(LUA_LIBDIR)" -DLUADIR="$(LUADIR)" -DLIBDIR="$(LIBDIR)" -DCMAKE_INSTALL_PREFIX="$(PREFIX)" && $(MAKE) -j$(getconf _NPROCESSORS_ONLN)
]],
   install_command = "cd build && $(MAKE) install",
}
