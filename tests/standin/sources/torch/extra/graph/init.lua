-- Stand-in for graph: nodes and edges.
require "torch"
graph = {}
local Graph = torch.class("graph.Graph")
function Graph:__init() self.nodes, self.edges = {}, {} end
function Graph:add(edge) self.edges[#self.edges + 1] = edge end
return graph
