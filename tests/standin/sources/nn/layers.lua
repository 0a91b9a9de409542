local function layer(name, init)
   local class, parent = torch.class("nn." .. name, "nn.Module")
   function class:__init(...)
      parent.__init(self)
      if init then init(self, ...) end
   end
   return class
end

local Linear = layer("Linear", function(self, inputs, outputs)
   local spread = 1 / math.sqrt(inputs)
   self.weight = torch.Tensor(outputs, inputs):uniform(-spread, spread)
   self.bias = torch.Tensor(outputs):uniform(-spread, spread)
end)
function Linear:updateOutput(input)
   local rows = input:dim() == 1 and input:view(1, -1) or input
   local output = torch.mm(rows, self.weight:t():typeAs(rows))
   for i = 1, output:size(1) do output[i]:add(self.bias) end
   self.output = input:dim() == 1 and output:view(-1) or output
   return self.output
end

layer("SpatialConvolution", function(self, inputs, outputs, kW, kH, dW, dH, padW, padH)
   self.nInputPlane, self.nOutputPlane, self.kW, self.kH = inputs, outputs, kW, kH
   self.dW, self.dH, self.padW, self.padH = dW or 1, dH or 1, padW or 0, padH or padW or 0
   self.weight = torch.Tensor(outputs, inputs, kH, kW)
   self.bias = torch.Tensor(outputs)
end)
layer("SpatialMaxPooling", function(self, kW, kH, dW, dH)
   self.kW, self.kH, self.dW, self.dH = kW, kH, dW or kW, dH or kH
end).ceil = function(self) return self end
layer("Dropout", function(self, p) self.p = p or 0.5 end)
layer("View", function(self, ...) self.sizes = { ... } end).setNumInputDims = function(self, n)
   self.numInputDims = n
   return self
end

local ReLU = layer("ReLU")
function ReLU:updateOutput(input)
   local values = input:double():clone()
   nn.THNN.THNN_Doublethreshold(values:data(), values:nElement())
   self.output = values:typeAs(input)
   return self.output
end

local Tanh = layer("Tanh")
function Tanh:updateOutput(input)
   self.output = input:clone():apply(function(x) return (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)) end)
   return self.output
end

local LogSoftMax = layer("LogSoftMax")
function LogSoftMax:updateOutput(input)
   local top, total = input:max(), 0
   input:clone():apply(function(x)
      total = total + math.exp(x - top)
      return x
   end)
   self.output = input:clone():add(-top - math.log(total))
   return self.output
end
local SoftMax = layer("SoftMax")
function SoftMax:updateOutput(input)
   self.output = LogSoftMax.updateOutput(self, input):apply(math.exp)
   return self.output
end
