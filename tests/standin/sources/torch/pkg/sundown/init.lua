-- Stand-in for sundown.
return { ascii = require "sundown.ascii", render = require("libsundown").plain }
