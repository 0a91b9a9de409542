package = "rnn"
version = "scm-1"
source = { url = "git://stand-in.invalid/rnn" }
description = { summary = "Stand-in of the project's tests for rnn", license = "stand-in" }
dependencies = { "torch >= 7.0", "nn" }
build = {
   type = "command",
   build_command = [[
cmake -E make_directory build && cd build && cmake .. -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$(LUA_BINDIR)/.." -DCMAKE_INSTALL_PREFIX="$(PREFIX)" && $(MAKE)
]],
   install_command = "cd build && $(MAKE) install",
}
