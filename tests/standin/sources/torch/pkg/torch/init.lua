-- Stand-in for torch: tensors over the FFI, classes, files and the command line, as far as the rocks use them.
torch = {}
torch._STANDIN = true

local libtorch = require "libtorch"
local ffi = require "ffi"
ffi.cdef [[
typedef struct THFloatTensor { float *data; long size[4]; int nDimension; } THFloatTensor;
void THFloatTensor_clear(THFloatTensor *tensor);
double TH_dot(const double *a, const double *b, int n);
void TH_multiply(const double *a, const double *b, double *c, int m, int n, int k);
int TH_solve(double *a, double *b, int n, int nrhs);
]]
torch.TH = ffi.load(package.searchpath("libtorch", package.cpath))
torch._linearAlgebra = libtorch.linearAlgebra()

function torch.packageLuaPath(name)
   local file = package.searchpath(name .. ".init", package.path) or package.searchpath(name, package.path)
   if not file then
      error("cannot find the package " .. tostring(name))
   end
   return (file:gsub("/[^/]*$", ""))
end

function torch.include(package_name, file)
   return dofile(torch.packageLuaPath(package_name) .. "/" .. file)
end

require "paths"
for _, part in ipairs { "class", "Tensor", "TensorMath", "random", "File", "CmdLine" } do
   torch.include("torch", part .. ".lua")
end
torch.include("torch", "paths.lua")

function torch.setnumthreads() end
function torch.getnumthreads() return 1 end

return torch
