local gModule, parent = torch.class("nn.gModule", "nn.Module")

function gModule:__init(inputs, outputs)
   parent.__init(self)
   self.inputs, self.outputs, self.forwardnodes = inputs, outputs, {}
   self.graph = graph.Graph()
end
