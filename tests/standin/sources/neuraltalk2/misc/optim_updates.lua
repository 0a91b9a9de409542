-- Stand-in: an update moves the pretended model on, whatever its name.
local known = {rmsprop = true, adagrad = true, sgd = true, sgdm = true, sgdmom = true, adam = true}
local updates = {}

function updates.apply(name, lm, rate)
  if not known[name] then error('bad option opt.optim') end
  lm:update(rate)
end

function updates.check_cnn(name)
  if name ~= 'sgd' and name ~= 'sgdm' and name ~= 'adam' then error('bad option for opt.cnn_optim') end
end

return updates
