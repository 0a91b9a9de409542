-- Dense tensors, always contiguous. A row of a tensor shares its memory.
local ffi = require "ffi"

local names = { "Byte", "Char", "Short", "Int", "Long", "Float", "Double" }
local elements = { Byte = "unsigned char", Char = "signed char", Short = "short", Int = "int", Long = "long",
   Float = "float", Double = "double" }
local methods = {} -- common to all types; TensorMath.lua adds to them
torch._tensorMethods = methods

local function count(sizes)
   local n = #sizes == 0 and 0 or 1
   for _, size in ipairs(sizes) do n = n * size end
   return n
end

local function sizes_of(...)
   local first = ...
   if type(first) == "table" and not torch.isTensor(first) then
      local sizes = {}
      for i, size in ipairs(first) do sizes[i] = tonumber(size) end
      return sizes
   end
   return { ... }
end

function torch.isTensor(object)
   local name = torch.typename(object)
   return name ~= nil and name:match("^torch%.%a+Tensor$") ~= nil
end

function methods:resize(...)
   local sizes = sizes_of(...)
   local n = count(sizes)
   if n ~= self._count then
      self._storage = ffi.new(self._element .. "[?]", math.max(n, 1))
      self._pointer = ffi.cast(self._element .. "*", self._storage)
   end
   self._sizes, self._count = sizes, n
   return self
end

function methods:resizeAs(other) return self:resize(other._sizes) end
function methods:nElement() return self._count end
function methods:nDimension() return #self._sizes end
function methods:data() return self._pointer end
function methods:contiguous() return self end
function methods:isContiguous() return true end

function methods:size(dimension)
   if dimension then
      return self._sizes[dimension] or error("dimension " .. dimension .. " out of range", 2)
   end
   local sizes = { unpack(self._sizes) }
   sizes.size = function() return #self._sizes end
   sizes.totable = function() return { unpack(self._sizes) } end
   return sizes
end

local function check(self, index)
   if index < 1 or index > (self._sizes[1] or 0) or index % 1 ~= 0 then
      error("index out of range: " .. tostring(index), 3)
   end
end

function methods:select(dimension, index)
   assert(dimension == 1 and #self._sizes > 1, "the stand-in selects in the first dimension only")
   check(self, index)
   local row = torch.factory(self:type())()
   row._sizes = { unpack(self._sizes, 2) }
   row._count = count(row._sizes)
   row._storage = self._storage -- keeps the memory alive
   row._pointer = self._pointer + (index - 1) * row._count
   return row
end

function methods:narrow(dimension, first, length)
   assert(dimension == 1, "the stand-in narrows the first dimension only")
   check(self, first)
   check(self, first + length - 1)
   local part = torch.factory(self:type())()
   part._sizes = { length, unpack(self._sizes, 2) }
   part._count = count(part._sizes)
   part._storage = self._storage
   part._pointer = self._pointer + (first - 1) * (part._count / length)
   return part
end

function methods:view(...)
   local sizes, known, open = sizes_of(...), 1, nil
   for i, size in ipairs(sizes) do
      if size == -1 then open = i else known = known * size end
   end
   if open then sizes[open] = self._count / known end
   assert(count(sizes) == self._count, "view: the number of elements differs")
   local view = torch.factory(self:type())()
   view._sizes, view._count, view._storage, view._pointer = sizes, self._count, self._storage, self._pointer
   return view
end

local function get(self, key)
   if type(key) == "number" then
      if #self._sizes > 1 then return self:select(1, key) end
      check(self, key)
      return tonumber(self._pointer[key - 1])
   elseif type(key) == "table" then
      local value = self
      for _, index in ipairs(key) do value = value[index] end
      return value
   end
end

local function set(self, key, value)
   if type(key) == "table" then
      local last, owner = #key, self
      for i = 1, last - 1 do owner = owner[key[i]] end
      owner[key[last]] = value
   elseif type(key) ~= "number" then
      rawset(self, key, value)
   elseif #self._sizes > 1 then
      local row = self:select(1, key)
      if type(value) == "number" then row:fill(value) else row:copy(value) end
   else
      check(self, key)
      self._pointer[key - 1] = value
   end
end

local function nested(tensor, values)
   local sizes, level = {}, values
   while type(level) == "table" do
      sizes[#sizes + 1] = #level
      level = level[1]
   end
   tensor:resize(sizes)
   local at = 0
   local function walk(part)
      for _, value in ipairs(part) do
         if type(value) == "table" then walk(value) else
            tensor._pointer[at] = value
            at = at + 1
         end
      end
   end
   walk(values)
end

for _, name in ipairs(names) do
   local class = torch.class("torch." .. name .. "Tensor")
   class.__empty = function()
      return { _element = elements[name], _sizes = {}, _count = 0, _storage = false, _pointer = false }
   end
   class.__init = function(self, ...)
      for key, value in pairs(class.__empty()) do rawset(self, key, value) end
      local first = ...
      if torch.isTensor(first) then
         self:resize(first._sizes):copy(first)
      elseif type(first) == "table" then
         nested(self, first)
      else
         self:resize(...)
      end
   end
   class.type = function(self, wanted)
      if not wanted then return class.__typename end
      if wanted == class.__typename then return self end
      return torch.factory(wanted)():resize(self._sizes):copy(self)
   end
   class.__index = function(self, key)
      if type(key) == "number" or type(key) == "table" then return get(self, key) end
      local own = rawget(class, key)
      if own ~= nil then return own end
      return methods[key]
   end
   class.__newindex = set
   methods[name:lower()] = function(self) return self:type(class.__typename) end
end
methods.typeAs = function(self, other) return self:type(other:type()) end
methods.dim = methods.nDimension

local default = "torch.DoubleTensor"
function torch.getdefaulttensortype() return default end
function torch.setdefaulttensortype(name)
   assert(torch.factory(name), "unknown tensor type " .. tostring(name))
   default = name
end
function torch.Tensor(...)
   return torch[default:match("%.(.*)$")](...)
end
function torch.LongStorage(sizes)
   return torch.LongTensor(sizes)
end
