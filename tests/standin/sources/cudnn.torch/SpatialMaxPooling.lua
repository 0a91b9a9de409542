-- The greatest of each window, of a batch (N x planes x height x width).
local Pooling = torch.class("cudnn.SpatialMaxPooling", "nn.SpatialMaxPooling")

function Pooling:ceil()
   self.ceil_mode = true
   return self
end

function Pooling:updateOutput(input)
   cudnn.check(input)
   local round = self.ceil_mode and math.ceil or math.floor
   local n, planes, height, width = input:size(1), input:size(2), input:size(3), input:size(4)
   local rows, columns = round((height - self.kH) / self.dH) + 1, round((width - self.kW) / self.dW) + 1
   self.output = torch.CudaTensor(n, planes, rows, columns)
   local x, y, at = input:data(), self.output:data(), 0
   for plane = 0, n * planes - 1 do
      for row = 0, rows - 1 do
         for column = 0, columns - 1 do
            local best = -math.huge
            for i = row * self.dH, math.min(row * self.dH + self.kH, height) - 1 do
               for j = column * self.dW, math.min(column * self.dW + self.kW, width) - 1 do
                  best = math.max(best, x[plane * height * width + i * width + j])
               end
            end
            y[at] = best
            at = at + 1
         end
      end
   end
   return self.output
end
