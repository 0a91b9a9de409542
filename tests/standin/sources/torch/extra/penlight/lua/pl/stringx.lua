-- Stand-in for Penlight's strings.
local stringx = {}

function stringx.split(text, separator)
   local parts, at = {}, 1
   if text == "" then return parts end
   while true do
      local first, last = text:find(separator, at, true)
      parts[#parts + 1] = text:sub(at, first and first - 1)
      if not first then return parts end
      at = last + 1
   end
end

function stringx.splitlines(text)
   local lines = {}
   for line in (text:gsub("\n$", "") .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
   return lines
end

function stringx.startswith(text, start) return text:sub(1, #start) == start end
function stringx.endswith(text, ending) return ending == "" or text:sub(-#ending) == ending end
function stringx.strip(text) return (text:gsub("^%s+", ""):gsub("%s+$", "")) end
function stringx.join(separator, parts) return table.concat(parts, separator) end

return stringx
