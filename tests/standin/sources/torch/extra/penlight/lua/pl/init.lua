-- Stand-in for Penlight.
return { path = require "pl.path", stringx = require "pl.stringx" }
