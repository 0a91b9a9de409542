local Module = torch.class("nn.Module")

function Module:__init()
   self.output = torch.Tensor()
   self.gradInput = torch.Tensor()
   self.train = true
end
function Module:forward(input) return self:updateOutput(input) end
function Module:updateOutput(input)
   self.output = input
   return input
end
function Module:backward(input, gradOutput)
   self.gradInput = gradOutput
   return gradOutput
end
function Module:training() self.train = true end
function Module:evaluate() self.train = false end
function Module:listModules() return { self } end
function Module:type(name)
   for _, key in ipairs { "weight", "bias", "gradWeight", "gradBias", "output", "gradInput" } do
      if torch.isTensor(self[key]) then self[key] = self[key]:type(name) end
   end
   return self
end
function Module:float() return self:type("torch.FloatTensor") end
function Module:double() return self:type("torch.DoubleTensor") end
function Module:cuda() return self:type("torch.CudaTensor") end

function Module:parameters()
   local weights = {}
   for _, key in ipairs { "weight", "bias" } do
      if self[key] then weights[#weights + 1] = self[key] end
   end
   return weights
end

-- The parameters of the module as one tensor (a copy, unlike upstream's).
function Module:getParameters()
   local parts, n = self:parameters(), 0
   for _, part in ipairs(parts) do n = n + part:nElement() end
   local flat, at = torch.Tensor(n), 0
   for _, part in ipairs(parts) do
      local pointer = part:data()
      for i = 0, part:nElement() - 1 do flat:data()[at + i] = tonumber(pointer[i]) end
      at = at + part:nElement()
   end
   return flat, flat:clone():zero()
end

function Module:clone()
   local copy = {}
   for key, value in pairs(self) do copy[key] = value end
   return setmetatable(copy, getmetatable(self))
end

function Module:__tostring() return torch.typename(self) end
