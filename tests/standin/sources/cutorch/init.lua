-- Stand-in for cutorch: devices as the toolkit's runtime tells them; their tensors are kept by the processor.
require "torch"
require "libcutorch"

require "cutorch.Tensor"
require "cutorch.test"

function cutorch.withDevice(device, closure)
   local before = cutorch.getDevice()
   cutorch.setDevice(device)
   local results = { pcall(closure) }
   cutorch.setDevice(before)
   if not results[1] then error(results[2]) end
   return unpack(results, 2)
end

return cutorch
