-- Stand-in for Penlight's paths.
local lfs = require "lfs"
local path = { sep = "/" }

function path.exists(name) return lfs.attributes(name, "mode") ~= nil and name or nil end
function path.isdir(name) return lfs.attributes(name, "mode") == "directory" end
function path.isfile(name) return lfs.attributes(name, "mode") == "file" end
function path.isabs(name) return name:sub(1, 1) == "/" end

function path.join(first, second, ...)
   if select("#", ...) > 0 then return path.join(path.join(first, second), ...) end
   if path.isabs(second) or first == "" then return second end
   return first:sub(-1) == "/" and first .. second or first .. "/" .. second
end

function path.splitpath(name)
   local directory, base = name:match("^(.*)/([^/]*)$")
   if directory == "" then directory = "/" end
   return directory or "", base or name
end
function path.dirname(name) return (path.splitpath(name)) end
function path.basename(name) return (select(2, path.splitpath(name))) end

function path.splitext(name)
   local stem, extension = name:match("^(.+)(%.[^./]*)$")
   return stem or name, extension or ""
end
function path.extension(name) return (select(2, path.splitext(name))) end

function path.abspath(name)
   return path.isabs(name) and name or path.join(lfs.currentdir(), name)
end

return path
