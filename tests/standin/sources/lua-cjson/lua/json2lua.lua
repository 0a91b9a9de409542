#!/usr/bin/env lua
-- Stand-in: reads JSON, prints the type of the outermost value.
print(type(require("cjson").decode(io.read("*a"))))
