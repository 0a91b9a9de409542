-- Stand-in for the cudnn rock: modules that insist on a device, and are computed by the processor.
require "cutorch"
require "nn"
cudnn = require "cudnn.env"
require "cudnn.ffi"

cudnn.benchmark = false
cudnn.fastest = false

-- An error, as upstream's, where a tensor is not on a device.
function cudnn.check(tensor)
   assert(torch.typename(tensor) == "torch.CudaTensor", "Only Cuda supported duh!")
end

require "cudnn.SpatialConvolution"
require "cudnn.SpatialMaxPooling"
require "cudnn.Pointwise"

return cudnn
