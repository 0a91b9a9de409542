-- Stand-in for sys.
require "torch"
local lib = require "libsys"
sys = { clock = lib.clock, sleep = lib.usleep, COLORS = torch.include("sys", "colors.lua") }

local started = sys.clock()
function sys.tic() started = sys.clock() end
function sys.toc() return sys.clock() - started end

function sys.execute(command)
   local pipe = io.popen(command)
   local text = pipe:read("*a"):gsub("%s*$", "")
   pipe:close()
   return text
end
function sys.uname() return "linux" end

return sys
