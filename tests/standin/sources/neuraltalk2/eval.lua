-- Stand-in for neuraltalk2's captioning: upstream's options, lines and files; captions name the mean colour.
require 'torch'
require 'nn'
require 'nngraph'
require 'loadcaffe'
local utils = require 'misc.utils'
require 'misc.DataLoader'
require 'misc.DataLoaderRaw'
require 'misc.LanguageModel'
local net_utils = require 'misc.net_utils'
path = path or require 'pl.path'

local cmd = torch.CmdLine()
cmd:text()
cmd:text('Train an Image Captioning model')
cmd:text()
cmd:text('Options')
-- Input paths
cmd:option('-model', '', 'path to model to evaluate')
-- Basic options
cmd:option('-batch_size', 1, 'if > 0 then overrule, otherwise load from checkpoint.')
cmd:option('-num_images', 100, 'how many images to use when periodically evaluating the loss? (-1 = all)')
cmd:option('-language_eval', 0, 'Evaluate language as well (1 = yes, 0 = no)? requires coco-caption code.')
cmd:option('-dump_images', 1, 'Dump images into vis/imgs folder for vis? (1=yes,0=no)')
cmd:option('-dump_json', 1, 'Dump json with predictions into vis folder? (1=yes,0=no)')
cmd:option('-dump_path', 0, 'Write image paths along with predictions into vis json? (1=yes,0=no)')
-- Sampling options
cmd:option('-sample_max', 1, '1 = sample argmax words. 0 = sample from distributions.')
cmd:option('-beam_size', 2, 'used when sample_max = 1, indicates number of beams in beam search.')
cmd:option('-temperature', 1.0, 'temperature when sampling from distributions (i.e. when sample_max = 0).')
-- For evaluation on a folder of images:
cmd:option('-image_folder', '', 'If this is nonempty then will predict on the images in this folder path')
cmd:option('-image_root', '', 'In case the image paths have to be preprended with a root path to an image folder')
-- For evaluation on MSCOCO images from some split:
cmd:option('-input_h5', '', 'path to the h5file containing the preprocessed dataset. empty = fetch from model checkpoint.')
cmd:option('-input_json', '', 'path to the json file containing additional info and vocab. empty = fetch from model checkpoint.')
cmd:option('-split', 'test', 'if running on MSCOCO images, which split to use: val|test|train')
cmd:option('-coco_json', '', 'if nonempty then use this file in DataLoaderRaw')
-- misc
cmd:option('-backend', 'cudnn', 'nn|cudnn')
cmd:option('-id', 'evalscript', 'an id identifying this run/job. used only if language_eval = 1')
cmd:option('-seed', 123, 'random number generator seed to use')
cmd:option('-gpuid', 0, 'which gpu to use. -1 = use CPU')
cmd:text()

local opt = cmd:parse(arg)
net_utils.say_stand_in()
torch.manualSeed(opt.seed)
torch.setdefaulttensortype('torch.FloatTensor')
net_utils.require_gpu(opt)

assert(string.len(opt.model) > 0, 'must provide a model')
local checkpoint = torch.load(opt.model)
if string.len(opt.input_h5) == 0 then opt.input_h5 = checkpoint.opt.input_h5 end
if string.len(opt.input_json) == 0 then opt.input_json = checkpoint.opt.input_json end
if opt.batch_size == 0 then opt.batch_size = checkpoint.opt.batch_size end
for _, key in ipairs{'rnn_size', 'input_encoding_size', 'drop_prob_lm', 'cnn_proto', 'cnn_model', 'seq_per_img'} do
  opt[key] = checkpoint.opt[key]
end
local vocab = checkpoint.vocab

local loader
if string.len(opt.image_folder) == 0 then
  loader = DataLoader{h5_file = opt.input_h5, json_file = opt.input_json}
else
  loader = DataLoaderRaw{folder_path = opt.image_folder, coco_json = opt.coco_json}
end

local protos = checkpoint.protos
if opt.gpuid >= 0 then
  for _, proto in pairs(protos) do proto:cuda() end
end
protos.lm:createClones()

local function eval_split(split, num_images)
  loader:resetIterator(split)
  local n, loss_sum, loss_evals, predictions = 0, 0, 0, {}
  while true do
    local data = loader:getBatch{batch_size = opt.batch_size, split = split, seq_per_img = opt.seq_per_img}
    n = n + #data.infos
    local loss = 0
    if data.labels then
      loss = protos.lm:loss(data)
      loss_sum, loss_evals = loss_sum + loss, loss_evals + 1
    end
    for k, caption in ipairs(protos.lm:captions(data.features, vocab)) do
      local entry = {image_id = data.infos[k].id, caption = caption}
      if opt.dump_path == 1 then entry.file_name = data.infos[k].file_path end
      table.insert(predictions, entry)
      if opt.dump_images == 1 then
        local cmd = 'cp "' .. path.join(opt.image_root, data.infos[k].file_path) .. '" vis/imgs/img' .. #predictions .. '.jpg' -- bit gross
        print(cmd)
        os.execute(cmd) -- dont think there is cleaner way in Lua
      end
      print(string.format('image %s: %s', entry.image_id, entry.caption))
    end
    print(string.format('evaluating performance... %d/%d (%f)', data.bounds.it_pos_now - 1,
      math.min(data.bounds.it_max, num_images), loss))
    net_utils.pause()
    if data.bounds.wrapped then break end
    if num_images >= 0 and n >= num_images then break end
  end
  local lang_stats
  if opt.language_eval == 1 then
    lang_stats = net_utils.language_eval(predictions, opt.id)
  end
  return loss_sum / loss_evals, predictions, lang_stats
end

local loss, predictions, lang_stats = eval_split(opt.split, opt.num_images)
print('loss: ', loss)
if lang_stats then print(lang_stats) end
if opt.dump_json == 1 then
  utils.write_json('vis/vis.json', predictions)
end
