-- Stand-in for loadcaffe.
require "nn"
loadcaffe = {}
torch.include("loadcaffe", "ffi.lua")
torch.include("loadcaffe", "loadcaffe.lua")
return loadcaffe
