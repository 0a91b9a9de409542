local Sequential, parent = torch.class("nn.Sequential", "nn.Module")

function Sequential:__init()
   parent.__init(self)
   self.modules = {}
end
function Sequential:add(module)
   self.modules[#self.modules + 1] = module
   return self
end
function Sequential:get(i) return self.modules[i] end
function Sequential:size() return #self.modules end
function Sequential:updateOutput(input)
   for _, module in ipairs(self.modules) do input = module:forward(input) end
   self.output = input
   return input
end
function Sequential:listModules()
   local list = { self }
   for _, module in ipairs(self.modules) do
      for _, inner in ipairs(module:listModules()) do list[#list + 1] = inner end
   end
   return list
end
function Sequential:type(name)
   for _, module in ipairs(self.modules) do module:type(name) end
   return self
end
function Sequential:parameters()
   local all = {}
   for _, module in ipairs(self.modules) do
      for _, weight in ipairs(module:parameters()) do all[#all + 1] = weight end
   end
   return all
end
function Sequential:__tostring()
   local lines = { "nn.Sequential {" }
   for i, module in ipairs(self.modules) do lines[#lines + 1] = ("  (%d): %s"):format(i, tostring(module)) end
   return table.concat(lines, "\n") .. "\n}"
end
