-- The tensors of devices: each is the processor's tensor of that kind under a name of its own.
local ffi = require "ffi"
ffi.cdef [[
void *cutorch_getTHCState(void);
void THCudaBlas_multiply(void *state, const float *a, const float *b, float *c, int m, int n, int k);
]]
local THC = ffi.load(package.searchpath("libcutorch", package.cpath)) -- and libTHC with it
local methods = torch._tensorMethods
local kinds = { cuda = "Float", cudaDouble = "Double", cudaByte = "Byte", cudaChar = "Char", cudaShort = "Short",
   cudaInt = "Int", cudaLong = "Long" }
local events = { "__empty", "__init", "__newindex", "__tostring", "__len", "__add", "__sub", "__mul", "__div", "__unm" }

for method, host in pairs(kinds) do
   local name = "torch." .. method:gsub("^cuda", "Cuda") .. "Tensor"
   local class, model = torch.class(name), torch.getmetatable("torch." .. host .. "Tensor")
   for _, event in ipairs(events) do class[event] = rawget(model, event) end
   class.type = function(self, wanted)
      if not wanted then return name end
      if wanted == name then return self end
      return torch.factory(wanted)():resize(self._sizes):copy(self)
   end
   class.__index = function(self, key)
      if type(key) == "number" or type(key) == "table" then return model.__index(self, key) end
      local own = rawget(class, key)
      if own ~= nil then return own end
      return methods[key]
   end
   methods[method] = function(self) return self:type(name) end
end

-- Products of CudaTensors go to cuBLAS, and nothing of the processor's may be mixed in.
local multiply = torch.mm
function torch.mm(a, b)
   local kind, other = torch.typename(a), torch.typename(b)
   if kind ~= other and (kind:find("Cuda") or other:find("Cuda")) then
      error(("bad argument #2 to 'mm' (%s expected, got %s)"):format(kind, other))
   end
   if kind ~= "torch.CudaTensor" then return multiply(a, b) end
   local m, k, n = a:size(1), a:size(2), b:size(2)
   assert(k == b:size(1), "size mismatch")
   local out = torch.CudaTensor(m, n)
   THC.THCudaBlas_multiply(THC.cutorch_getTHCState(), a:data(), b:data(), out:data(), m, n, k)
   return out
end
methods.mm = torch.mm
