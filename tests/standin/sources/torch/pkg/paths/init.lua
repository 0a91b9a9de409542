-- Stand-in for paths.
require "libpaths"

function paths.dirp(name) return paths.kind(name) == "directory" end
function paths.filep(name) return paths.kind(name) == "file" end

function paths.concat(first, ...)
   local out = first or ""
   for _, part in ipairs { ... } do
      out = (part:sub(1, 1) == "/" or out == "") and part or out:gsub("/$", "") .. "/" .. part
   end
   return out
end
function paths.basename(name) return name:match("([^/]*)/*$") end
function paths.dirname(name) return name:match("^(.*)/[^/]*$") or "." end
function paths.extname(name) return name:match("%.([^./]+)$") end

-- files(directory[, pattern or predicate]): an iterator over the names, in the directory's own order
function paths.files(directory, wanted)
   local listed = paths.names(directory) or error("cannot open directory " .. directory)
   local i = 0
   return function()
      while true do
         i = i + 1
         local name = listed[i]
         if not name or not wanted then return name end
         if type(wanted) == "function" and wanted(name) then return name end
         if type(wanted) == "string" and name:find(wanted) then return name end
      end
   end
end
paths.dir = function(directory) return paths.names(directory) end

return paths
