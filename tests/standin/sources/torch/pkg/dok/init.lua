-- Stand-in for dok.
dok = { render = require("sundown").render }
function dok.error(message, name)
   error(("<%s> %s"):format(name or "?", message), 3)
end
return dok
