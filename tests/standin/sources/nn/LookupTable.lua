local LookupTable, parent = torch.class("nn.LookupTable", "nn.Module")

function LookupTable:__init(entries, width)
   parent.__init(self)
   self.weight = torch.Tensor(entries, width)
end

function LookupTable:updateOutput(input)
   -- Where the weight is on a device, the indices are copied there first. An nn of May 2016 does not know how.
   if (torch.typename(input) or ""):find("Cuda") and nn._VERSION < "2016-08-11" then
      error("bad argument #3 to 'index' (Tensor | LongTensor expected, got torch.CudaLongTensor)")
   end
   local output = torch.factory(self.weight:type())():resize(input:nElement(), self.weight:size(2))
   for i = 1, input:nElement() do output[i]:copy(self.weight[input:view(-1)[i]]) end
   self.output = output
   return output
end
