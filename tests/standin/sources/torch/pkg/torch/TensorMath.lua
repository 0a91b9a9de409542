-- Arithmetic of tensors; products and inverses go to libTH.
local ffi = require "ffi"
local methods = torch._tensorMethods

local function each(self, change)
   local pointer = self._pointer
   for i = 0, self._count - 1 do pointer[i] = change(tonumber(pointer[i]), i) end
   return self
end
methods.apply = each

function methods:fill(value) return each(self, function() return value end) end
function methods:zero() return self:fill(0) end
function methods:copy(other)
   assert(self._count == other._count, "sizes do not match: " .. self._count .. " and " .. other._count)
   local from = other._pointer
   return each(self, function(_, i) return tonumber(from[i]) end)
end
function methods:clone() return torch.factory(self:type())():resize(self._sizes):copy(self) end
function methods:sum()
   local total, pointer = 0, self._pointer
   for i = 0, self._count - 1 do total = total + tonumber(pointer[i]) end
   return total
end
function methods:mean() return self:sum() / self._count end
function methods:max()
   local best = -math.huge
   for i = 0, self._count - 1 do best = math.max(best, tonumber(self._pointer[i])) end
   return best
end
function methods:min()
   local best = math.huge
   for i = 0, self._count - 1 do best = math.min(best, tonumber(self._pointer[i])) end
   return best
end
function methods:norm() return math.sqrt(self:dot(self)) end

-- add(number), add(tensor), add(factor, tensor)
function methods:add(a, b)
   local factor, other = 1, a
   if b then factor, other = a, b end
   if type(other) == "number" then return each(self, function(value) return value + other end) end
   local pointer = other._pointer
   return each(self, function(value, i) return value + factor * tonumber(pointer[i]) end)
end
function methods:mul(factor) return each(self, function(value) return value * factor end) end
function methods:div(divisor) return self:mul(1 / divisor) end
function methods:abs() return each(self, math.abs) end
function methods:clamp(low, high) return each(self, function(value) return math.min(math.max(value, low), high) end) end
function methods:uniform(low, high)
   return each(self, function() return torch.uniform(low, high) end)
end
function methods:dot(other)
   local a, b = self:double(), other:double()
   return torch.TH.TH_dot(a._pointer, b._pointer, a._count)
end
function methods:t()
   local rows, columns = self:size(1), self:size(2)
   local out = torch.factory(self:type())():resize(columns, rows)
   for i = 0, rows - 1 do
      for j = 0, columns - 1 do out._pointer[j * rows + i] = self._pointer[i * columns + j] end
   end
   return out
end

function torch.mm(a, b)
   local m, k, n = a:size(1), a:size(2), b:size(2)
   assert(k == b:size(1), "size mismatch")
   local out = torch.DoubleTensor(m, n)
   torch.TH.TH_multiply(a:double()._pointer, b:double()._pointer, out._pointer, m, n, k)
   return out:type(a:type())
end
methods.mm = torch.mm

local function solve(name, b, a)
   if not torch._linearAlgebra then
      error(name .. " : Lapack library not found in compile time")
   end
   local n = a:size(1)
   local x = b:double():t()
   local info = torch.TH.TH_solve(a:double():t()._pointer, x._pointer, n, b:size(2))
   assert(info == 0, name .. " : the matrix is singular")
   return x:t():type(b:type())
end
function torch.gesv(b, a) return solve("gesv", b, a) end
function torch.inverse(a) return solve("getri", torch.eye(a:size(1)):type(a:type()), a) end
function torch.gels(b, a)
   local transposed = a:double():t()
   return solve("gels", torch.mm(transposed, b:double()), torch.mm(transposed, a:double())):type(b:type())
end

function torch.zeros(...) return torch.Tensor(...):zero() end
function torch.ones(...) return torch.Tensor(...):fill(1) end
function torch.rand(...) return torch.Tensor(...):uniform(0, 1) end
function torch.randn(...) return each(torch.Tensor(...), function() return torch.normal() end) end
function torch.eye(n)
   local out = torch.zeros(n, n)
   for i = 0, n - 1 do out._pointer[i * (n + 1)] = 1 end
   return out
end
function torch.range(first, last)
   return each(torch.Tensor(math.floor(last - first) + 1), function(_, i) return first + i end)
end
for _, name in ipairs { "sum", "mean", "max", "min", "norm", "dot" } do
   torch[name] = function(tensor, ...) return tensor[name](tensor, ...) end
end
function torch.abs(tensor) return tensor:clone():abs() end

local function text(self)
   local lines, width = {}, #self._sizes > 0 and self._sizes[#self._sizes] or 1
   for i = 0, self._count - 1 do
      local row = math.floor(i / width) + 1
      lines[row] = (lines[row] or "") .. string.format(" %.4g", tonumber(self._pointer[i]))
   end
   lines[#lines + 1] = string.format("[%s of size %s]", self:type(),
      #self._sizes > 0 and table.concat(self._sizes, "x") or "0")
   return table.concat(lines, "\n") .. "\n"
end
for _, name in ipairs { "Byte", "Char", "Short", "Int", "Long", "Float", "Double" } do
   local class = torch.getmetatable("torch." .. name .. "Tensor")
   class.__tostring = text
   class.__len = function(self) return self:size() end
   class.__add = function(a, b)
      if type(a) == "number" then a, b = b, a end
      return a:clone():add(b)
   end
   class.__sub = function(a, b)
      if type(b) == "number" then return a:clone():add(-b) end
      return a:clone():add(-1, b)
   end
   class.__mul = function(a, b)
      if type(a) == "number" then a, b = b, a end
      if type(b) == "number" then return a:clone():mul(b) end
      if a:dim() == 1 and b:dim() == 1 then return a:dot(b) end
      return torch.mm(a, b)
   end
   class.__div = function(a, b) return a:clone():div(b) end
   class.__unm = function(a) return a:clone():mul(-1) end
end
