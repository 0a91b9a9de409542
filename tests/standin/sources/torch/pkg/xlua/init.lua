-- Stand-in for xlua.
require "sys"
xlua = {}
function xlua.require(name)
   local found, module = pcall(require, name)
   return found and module or nil
end
function xlua.error(message, name) error(("<%s> %s"):format(name or "?", message), 3) end
function xlua.progress(done, total) io.write(("\r %d/%d "):format(done, total)) end
return xlua
