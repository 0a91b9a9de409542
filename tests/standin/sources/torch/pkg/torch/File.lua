-- torch.save and torch.load, in a format of the stand-in: values by their kind, tables and tensors once each.
local ffi = require "ffi"
local MAGIC = "STAND-IN T7\n"

local function writer(file)
   local seen, known = {}, 0
   local put

   local function text(value)
      file:write(#value, "\n", value)
   end

   local function remember(kind, value)
      if seen[value] then
         file:write("R", seen[value], "\n")
         return true
      end
      known = known + 1
      seen[value] = known
      file:write(kind)
   end

   local function put_table(value)
      local keys = {}
      for key in pairs(value) do keys[#keys + 1] = key end
      table.sort(keys, function(a, b) return type(a) .. tostring(a) < type(b) .. tostring(b) end)
      file:write(#keys, "\n")
      for _, key in ipairs(keys) do
         put(key)
         put(value[key])
      end
   end

   function put(value)
      local kind = type(value)
      if value == nil then file:write("Z")
      elseif kind == "boolean" then file:write(value and "T" or "F")
      elseif kind == "number" then file:write("N", string.format("%.17g", value), "\n")
      elseif kind == "string" then file:write("S") text(value)
      elseif torch.isTensor(value) then
         if remember("D", value) then return end
         text(value:type())
         text(table.concat(value._sizes, " "))
         text(value._count == 0 and "" or ffi.string(value._pointer, value._count * ffi.sizeof(value._element)))
      elseif kind == "table" then
         if remember("O", value) then return end
         text(torch.typename(value) or "")
         put_table(value)
      else
         error("cannot serialise a value of type " .. kind)
      end
   end
   return put
end

local function reader(file)
   local known = {}
   local get

   local function line() return (assert(file:read("*l"), "read error: the file ends early")) end
   local function text()
      local n = tonumber(line())
      local value = n == 0 and "" or file:read(n)
      assert(value and #value == n, "read error: read " .. #(value or "") .. " blocks instead of " .. n)
      return value
   end

   local function tensor()
      local at = #known + 1
      local name = text()
      local value = assert(torch.factory(name), "unknown Torch class <" .. name .. ">")()
      known[at] = value
      local sizes = {}
      for size in text():gmatch("%d+") do sizes[#sizes + 1] = tonumber(size) end
      value:resize(sizes)
      local bytes = text()
      if #bytes > 0 then ffi.copy(value._pointer, bytes, #bytes) end
      return value
   end

   local function object()
      local at = #known + 1
      known[at] = false
      local name = text()
      local value = {}
      if name ~= "" then
         value = assert(torch.factory(name), "unknown Torch class <" .. name .. ">")()
      end
      known[at] = value
      for _ = 1, tonumber(line()) do
         local key = get()
         rawset(value, key, get())
      end
      return value
   end

   local kinds = {
      Z = function() return nil end,
      T = function() return true end,
      F = function() return false end,
      N = function() return tonumber(line()) end,
      S = text,
      D = tensor,
      O = object,
      R = function() return known[tonumber(line())] end,
   }
   function get()
      local kind = file:read(1)
      return assert(kinds[kind], "unknown object: the file is no checkpoint or is damaged")()
   end
   return get
end

function torch.save(name, value)
   local file = assert(io.open(name, "wb"), "cannot open <" .. name .. "> in mode w")
   file:write(MAGIC)
   writer(file)(value)
   file:close()
end

function torch.load(name)
   local file = io.open(name, "rb")
   if not file then
      error("cannot open <" .. name .. "> in mode r")
   end
   if file:read(#MAGIC) ~= MAGIC then
      file:close()
      error("unknown object: <" .. name .. "> was not written by this torch")
   end
   local value = reader(file)()
   file:close()
   return value
end
