-- Stand-in: like upstream's it needs the GPU's rocks to make a checkpoint that does not.
require 'torch'
require 'nn'
require 'nngraph'
require 'cutorch'
require 'cunn'
require 'cudnn'
require 'misc.LanguageModel'

local cmd = torch.CmdLine()
cmd:text()
cmd:text('Convert a GPU checkpoint to CPU checkpoint.')
cmd:text()
cmd:text('Options')
cmd:argument('-model', 'GPU model checkpoint to convert')
cmd:option('-gpuid', 0, 'which gpu to use. -1 = use CPU')
cmd:text()
local opt = cmd:parse(arg)

local checkpoint = torch.load(opt.model)
for name, proto in pairs(checkpoint.protos) do
  print('converting ' .. name .. ' to CPU')
  proto:float()
  for _, module in ipairs(proto:listModules()) do
    local name = torch.typename(module):match('^cudnn%.(.*)')
    if name then setmetatable(module, torch.getmetatable('nn.' .. name)) end
  end
end
local savefile = opt.model .. '_cpu.t7'
torch.save(savefile, checkpoint)
print('saved ' .. savefile)
