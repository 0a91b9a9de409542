local LookupTable, parent = torch.class("nn.LookupTable", "nn.Module")

function LookupTable:__init(entries, width)
   parent.__init(self)
   self.weight = torch.Tensor(entries, width)
end

function LookupTable:updateOutput(input)
   local kind = torch.typename(input) or type(input)
   if kind:find("Cuda") then
      error(("bad argument #3 to 'index' (Tensor | LongTensor expected, got %s)"):format(kind))
   end
   local output = torch.Tensor(input:nElement(), self.weight:size(2))
   for i = 1, input:nElement() do output[i]:copy(self.weight[input:view(-1)[i]]) end
   self.output = output
   return output
end
