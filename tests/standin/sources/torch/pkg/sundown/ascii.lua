return { render = require("libsundown").plain }
