-- The modules of nn that change no sizes, on a device.
for _, name in ipairs { "ReLU", "Tanh", "SoftMax", "LogSoftMax" } do
   local class = torch.class("cudnn." .. name, "nn." .. name)
   local on_processor = nn[name].updateOutput
   function class:updateOutput(input)
      cudnn.check(input)
      self.output = on_processor(self, input:float()):cuda()
      return self.output
   end
end
