-- Stand-in.
local utils = require 'misc.utils'
local net_utils = {}

function net_utils.say_stand_in()
  io.stderr:write('stand-in: tests/standin, not upstream code\n')
end

function net_utils.require_gpu(opt)
  if opt.gpuid < 0 then return end
  require 'cutorch'
  require 'cunn'
  if opt.backend == 'cudnn' then require 'cudnn' end
  cutorch.manualSeed(opt.seed)
  cutorch.setDevice(opt.gpuid + 1)
end

-- STANDIN_PAUSE, or what stands in /etc/standin-pause: seconds between two iterations or images, for runs that last.
function net_utils.pause()
  local file = io.open('/etc/standin-pause')
  local seconds = tonumber(os.getenv('STANDIN_PAUSE') or file and file:read('*l') or 0)
  if file then file:close() end
  if seconds > 0 then
    require 'sys'
    sys.sleep(seconds)
  end
end

-- The mean of each of the 3 planes of one image of bytes, 0..1.
function net_utils.mean_colour(img)
  local pointer, area, means = img:data(), img:nElement() / 3, {}
  for plane = 0, 2 do
    local total = 0
    for i = plane * area, (plane + 1) * area - 1 do total = total + tonumber(pointer[i]) end
    means[plane + 1] = total / area / 255
  end
  return means
end

-- The first layers of VGG-16 and a layer that encodes; of a net without the right layers, an error as upstream's.
function net_utils.build_cnn(cnn, opt)
  local layer_num = utils.getopt(opt, 'layer_num', 38)
  if opt.backend ~= 'nn' and opt.backend ~= 'cudnn' then
    error(string.format('Unrecognized backend "%s"', opt.backend))
  end
  local part = nn.Sequential()
  for i = 1, layer_num do
    local layer = cnn:get(i)
    if i == 1 then
      print('converting first layer conv filters from BGR to RGB...')
      layer.weight:clone()
    end
    part:add(layer)
  end
  part:add(nn.Linear(4096, opt.encoding_size))
  part:add(nn.ReLU(true))
  return part
end

-- The scorer is a program of its own; its exit code is not looked at, and an old result would do.
function net_utils.language_eval(predictions, id)
  utils.write_json('coco-caption/val' .. id .. '.json', {val_predictions = predictions})
  os.execute('./misc/call_python_caption_eval.sh val' .. id .. '.json')
  local scores = utils.read_json('coco-caption/val' .. id .. '.json_out.json')
  return scores
end

return net_utils
