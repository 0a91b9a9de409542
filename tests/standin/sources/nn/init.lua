-- Stand-in for nn: modules that hold their parameters; the small ones can be run.
require "torch"
require "moses"
nn = {}
nn._VERSION = "2017-10-02" -- which of the two nn is installed: the one in torch.tgz says 2016-05-06

local ffi = require "ffi"
ffi.cdef [[
void THNN_Doublethreshold(double *values, long n);
int THNN_DoublelinearAlgebra(void);
]]
nn.THNN = ffi.load(package.searchpath("libTHNN", package.cpath))

for _, part in ipairs { "Module", "Container", "layers", "LookupTable", "criterions" } do
   torch.include("nn", part .. ".lua")
end
return nn
