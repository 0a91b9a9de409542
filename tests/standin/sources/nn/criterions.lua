local Criterion = torch.class("nn.Criterion")
function Criterion:__init() self.output = 0 end
function Criterion:forward(input, target) return self:updateOutput(input, target) end

local MSE, parent = torch.class("nn.MSECriterion", "nn.Criterion")
function MSE:__init() parent.__init(self) end
function MSE:updateOutput(input, target)
   local difference = input:clone():add(-1, target)
   self.output = difference:dot(difference) / input:nElement()
   return self.output
end
