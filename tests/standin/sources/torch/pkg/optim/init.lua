-- Stand-in for optim: gradient descent.
require "torch"
optim = {}
function optim.sgd(evaluate, x, config)
   local loss, gradient = evaluate(x)
   x:add(-(config and config.learningRate or 1e-3), gradient)
   return x, { loss }
end
return optim
