-- A convolution of a batch (N x planes x height x width), summed up the long way.
local Convolution = torch.class("cudnn.SpatialConvolution", "nn.SpatialConvolution")

local function plane_sum(self, x, w, height, width, top, left)
   local total = 0
   for i = 0, self.kH - 1 do
      for j = 0, self.kW - 1 do
         local row, column = top + i, left + j
         if row >= 0 and row < height and column >= 0 and column < width then
            total = total + x[row * width + column] * w[i * self.kW + j]
         end
      end
   end
   return total
end

function Convolution:updateOutput(input)
   cudnn.check(input)
   cudnn.check(self.weight)
   assert(input:dim() == 4 and input:size(2) == self.nInputPlane, "the planes of the input are not the module's")
   local n, height, width = input:size(1), input:size(3), input:size(4)
   local rows = math.floor((height + 2 * self.padH - self.kH) / self.dH) + 1
   local columns = math.floor((width + 2 * self.padW - self.kW) / self.dW) + 1
   self.output = torch.CudaTensor(n, self.nOutputPlane, rows, columns)
   local x, w, y, at = input:data(), self.weight:data(), self.output:data(), 0
   for image = 0, n - 1 do
      for out = 0, self.nOutputPlane - 1 do
         for row = 0, rows - 1 do
            for column = 0, columns - 1 do
               local total = self.bias[out + 1]
               for plane = 0, self.nInputPlane - 1 do
                  total = total + plane_sum(self, x + (image * self.nInputPlane + plane) * height * width,
                     w + (out * self.nInputPlane + plane) * self.kH * self.kW, height, width,
                     row * self.dH - self.padH, column * self.dW - self.padW)
               end
               y[at] = total
               at = at + 1
            end
         end
      end
   end
   return self.output
end
