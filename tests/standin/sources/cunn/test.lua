-- Stand-in for cunn's tests: modules on a device against the same on the processor.
local function same(module, input)
   local expected = module:float():forward(input):clone()
   local difference = module:cuda():forward(input:cuda()):float():add(-1, expected)
   return math.max(difference:max(), -difference:min()) < 1e-5
end

local tests = {
   Linear_forward = function() return same(nn.Linear(7, 3), torch.FloatTensor(5, 7):uniform(-1, 1)) end,
   ReLU_forward = function() return same(nn.ReLU(), torch.FloatTensor(4, 4):uniform(-1, 1)) end,
   LookupTable_forward = function()
      local words = nn.LookupTable(4, 2)
      words.weight:uniform(-1, 1)
      return same(words, torch.FloatTensor { 1, 4, 2 })
   end,
}

function nn.testcuda() cutorch._run(tests) end
cunn = cunn or {}
cunn.test = nn.testcuda
