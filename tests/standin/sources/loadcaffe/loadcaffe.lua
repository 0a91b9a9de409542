local ffi = require "ffi"
local C = loadcaffe.C

local function copied(raw, tensor)
   local n = 1
   for i = 0, 3 do n = n * tonumber(raw.size[i]) end
   assert(n == tensor:nElement(), "the sizes of the model and of its description differ")
   local pointer = tensor:data()
   for i = 0, n - 1 do pointer[i] = raw.data[i] end
   torch.TH.THFloatTensor_clear(raw)
end

-- load(prototxt, model[, backend]): nil, not an error, where the model can't be read
function loadcaffe.load(prototxt, model, backend)
   backend = backend or "nn"
   local handle = ffi.new("void*[1]")
   C.loadBinary(handle, prototxt, model)
   if handle[0] == nil then return end

   local script = prototxt .. ".lua"
   C.convertProtoToLua(handle, script, backend)
   local net = nn.Sequential()
   for _, item in ipairs(dofile(script)) do
      local name, module = item[1], item[2]
      module.name = name
      if module.weight then
         local weight, bias = ffi.new("THFloatTensor"), ffi.new("THFloatTensor")
         C.loadModule(handle, name, weight, bias)
         copied(weight, module.weight)
         copied(bias, module.bias)
      end
      net:add(module)
   end
   C.destroyBinary(handle)
   return net
end
