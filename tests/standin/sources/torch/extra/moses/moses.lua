-- Stand-in for Moses.
local moses = { _VERSION = "1.6.1" }
function moses.map(list, change)
   local out = {}
   for key, value in pairs(list) do out[key] = change(key, value) end
   return out
end
function moses.contains(list, wanted)
   for _, value in pairs(list) do
      if value == wanted then return true end
   end
   return false
end
return moses
