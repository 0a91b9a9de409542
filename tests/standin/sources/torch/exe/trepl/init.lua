-- Stand-in for trepl: torch and its friends where they load, the print that ends in a TAB, a prompt.
pcall(require, "torch")
pcall(require, "paths")
pcall(require, "sys")
pcall(require, "xlua")
pcall(require, "dok")
path = require "pl.path"
local utils = require "treplutils"

if not torch then
   torch = { typename = function() return "" end }
end

local function put_table(value, depth)
   local pad = string.rep(" ", depth * 4)
   if next(value) == nil then
      io.write(pad, "{}\n")
      return
   end
   io.write(pad, "{\n")
   for key, item in pairs(value) do
      if type(item) == "table" and not (torch.typename(item) or ""):find("Tensor") then
         io.write(pad, "  ", tostring(key), " : \n")
         put_table(item, depth + 1)
      else
         local shown = type(item) == "string" and '"' .. item .. '"' or tostring(item)
         io.write(pad, "  ", tostring(key), " : ", shown, "\n")
      end
   end
   io.write(pad, "}\n")
end

function print(...)
   local n = select("#", ...)
   for i = 1, n do
      local value = select(i, ...)
      local meta = getmetatable(value)
      if type(value) == "cdata" or type(value) == "userdata" then
         io.write(tostring(value), "\n")
      elseif type(value) ~= "table" then
         io.write(tostring(value), "\t", i == n and "\n" or "")
      elseif type(meta) == "table" and meta.__tostring then
         io.write(tostring(value), "\n")
      else
         put_table(value, 0)
      end
   end
   io.flush()
end

return function()
   local ask = utils.isatty() and require("readline").readline or function(prompt)
      io.write(prompt)
      io.flush()
      return io.read("*l")
   end
   while true do
      local line = ask("th> ")
      if not line or line == "exit" then break end
      local chunk, message = loadstring("return " .. line)
      if not chunk then chunk, message = loadstring(line) end
      if not chunk then
         print(message)
      else
         local results = { pcall(chunk) }
         if not results[1] or #results > 1 then print(unpack(results, 2)) end
      end
   end
   io.write("\n")
end
