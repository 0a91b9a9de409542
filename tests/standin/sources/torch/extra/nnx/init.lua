-- Stand-in for nnx.
require "torch"
require "xlua"
require "nn"
nnx = {}
return nnx
