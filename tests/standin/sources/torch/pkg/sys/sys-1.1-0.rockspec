package = "sys"
version = "1.1-0"
source = { url = "git://stand-in.invalid/sys" }
description = { summary = "Stand-in of the project's tests for sys", license = "stand-in" }
dependencies = { "torch >= 7.0", "luaffi" }
build = {
   type = "command",
   build_command = [[
cmake -E make_directory build && cd build && cmake .. -DLUALIB=$(LUALIB) -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$(PREFIX)" && $(MAKE)
]],
   install_command = "cd build && $(MAKE) install",
}
