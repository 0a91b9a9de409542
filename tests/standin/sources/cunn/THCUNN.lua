-- What libTHCUNN does for modules whose tensors are on a device.
local ffi = require "ffi"
ffi.cdef [[
void THCUNN_Threshold(float *values, long n);
void THCUNN_SparseLinear(void);
]]
local THCUNN = { C = ffi.load(package.searchpath("libTHCUNN", package.cpath)) }

local on_processor = nn.ReLU.updateOutput
function nn.ReLU:updateOutput(input)
   if torch.typename(input) ~= "torch.CudaTensor" then return on_processor(self, input) end
   self.output = input:clone()
   THCUNN.C.THCUNN_Threshold(self.output:data(), self.output:nElement())
   return self.output
end

return THCUNN
