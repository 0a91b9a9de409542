-- Stand-in for nngraph.
require "nn"
require "graph"
nngraph = { _VERSION = "2017-02-08" }
torch.include("nngraph", "gmodule.lua")
return nngraph
