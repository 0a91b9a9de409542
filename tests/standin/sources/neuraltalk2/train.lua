-- Stand-in for neuraltalk2's training: upstream's options, lines and files; the loss is pretended.
require 'torch'
require 'nn'
require 'nngraph'
require 'loadcaffe'
local utils = require 'misc.utils'
require 'misc.DataLoader'
require 'misc.LanguageModel'
local net_utils = require 'misc.net_utils'
local updates = require 'misc.optim_updates'
path = path or require 'pl.path'

local cmd = torch.CmdLine()
cmd:text()
cmd:text('Train an Image Captioning model')
cmd:text()
cmd:text('Options')
-- Data input settings
cmd:option('-input_h5', 'coco/data.h5', 'path to the h5file containing the preprocessed dataset')
cmd:option('-input_json', 'coco/data.json', 'path to the json file containing additional info and vocab')
cmd:option('-cnn_proto', 'model/VGG_ILSVRC_16_layers_deploy.prototxt', 'path to CNN prototxt file in Caffe format')
cmd:option('-cnn_model', 'model/VGG_ILSVRC_16_layers.caffemodel', 'path to CNN model file in Caffe format')
cmd:option('-start_from', '', 'path to a model checkpoint to initialize model weights from. Empty = don\'t')
-- Model settings
cmd:option('-rnn_size', 512, 'size of the rnn in number of hidden nodes in each layer')
cmd:option('-input_encoding_size', 512, 'the encoding size of each token in the vocabulary, and the image.')
-- Optimization: General
cmd:option('-max_iters', -1, 'max number of iterations to run for (-1 = run forever)')
cmd:option('-batch_size', 16, 'what is the batch size in number of images per batch?')
cmd:option('-grad_clip', 0.1, 'clip gradients at this value')
cmd:option('-drop_prob_lm', 0.5, 'strength of dropout in the Language Model RNN')
cmd:option('-finetune_cnn_after', -1, 'After what iteration do we start finetuning the CNN? (-1 = never, 0 = from start)')
cmd:option('-seq_per_img', 5, 'number of captions to sample for each image during training')
-- Optimization: for the Language Model
cmd:option('-optim', 'adam', 'what update to use? rmsprop|sgd|sgdmom|adagrad|adam')
cmd:option('-learning_rate', 4e-4, 'learning rate')
cmd:option('-learning_rate_decay_start', -1, 'at what iteration to start decaying learning rate? (-1 = dont)')
cmd:option('-learning_rate_decay_every', 50000, 'every how many iterations thereafter to drop LR by half?')
cmd:option('-optim_alpha', 0.8, 'alpha for adagrad/rmsprop/momentum/adam')
cmd:option('-optim_beta', 0.999, 'beta used for adam')
cmd:option('-optim_epsilon', 1e-8, 'epsilon that goes into denominator for smoothing')
-- Optimization: for the CNN
cmd:option('-cnn_optim', 'adam', 'optimization to use for CNN')
cmd:option('-cnn_optim_alpha', 0.8, 'alpha for momentum of CNN')
cmd:option('-cnn_optim_beta', 0.999, 'alpha for momentum of CNN')
cmd:option('-cnn_learning_rate', 1e-5, 'learning rate for the CNN')
cmd:option('-cnn_weight_decay', 0, 'L2 weight decay just for the CNN')
-- Evaluation/Checkpointing
cmd:option('-val_images_use', 3200, 'how many images to use when evaluating the validation loss? (-1 = all)')
cmd:option('-save_checkpoint_every', 2500, 'how often to save a model checkpoint?')
cmd:option('-checkpoint_path', '', 'folder to save checkpoints into (empty = this folder)')
cmd:option('-language_eval', 0, 'Evaluate language as well (1 = yes, 0 = no)? requires coco-caption code.')
cmd:option('-losses_log_every', 25, 'How often do we snapshot losses, for inclusion in the progress dump? (0 = disable)')
-- misc
cmd:option('-backend', 'cudnn', 'nn|cudnn')
cmd:option('-id', '', 'an id identifying this run/job. appended when writing progress files')
cmd:option('-seed', 123, 'random number generator seed to use')
cmd:option('-gpuid', 0, 'which gpu to use. -1 = use CPU')
cmd:text()

local opt = cmd:parse(arg)
net_utils.say_stand_in()
torch.manualSeed(opt.seed)
torch.setdefaulttensortype('torch.FloatTensor')
net_utils.require_gpu(opt)

local loader = DataLoader{h5_file = opt.input_h5, json_file = opt.input_json}

local protos = {}
if string.len(opt.start_from) > 0 then
  print('initializing weights from ' .. opt.start_from)
  protos = torch.load(opt.start_from).protos
else
  protos.lm = nn.LanguageModel{vocab_size = loader:getVocabSize(), seq_length = loader:getSeqLength(),
    input_encoding_size = opt.input_encoding_size, rnn_size = opt.rnn_size}
  local backend = opt.gpuid == -1 and 'nn' or opt.backend
  local raw = loadcaffe.load(opt.cnn_proto, opt.cnn_model, backend)
  protos.cnn = net_utils.build_cnn(raw, {encoding_size = opt.input_encoding_size, backend = backend})
end
if opt.gpuid >= 0 then
  for _, proto in pairs(protos) do proto:cuda() end
end
print('total number of parameters in LM: ', protos.lm:numberOfParameters())
print('total number of parameters in CNN: ', protos.cnn:getParameters():nElement())
protos.lm:createClones()
local thin_lm, thin_cnn = protos.lm, protos.cnn

-- The loss over a split, what the model says about its images, and the scores of that.
local function eval_split(split, val_images_use)
  loader:resetIterator(split)
  local n, loss_sum, loss_evals, predictions = 0, 0, 0, {}
  while true do
    local data = loader:getBatch{batch_size = opt.batch_size, split = split, seq_per_img = opt.seq_per_img}
    n = n + #data.infos
    local loss = protos.lm:loss(data)
    loss_sum, loss_evals = loss_sum + loss, loss_evals + 1
    for k, caption in ipairs(protos.lm:captions(data.features, loader:getVocab())) do
      local entry = {image_id = data.infos[k].id, caption = caption}
      table.insert(predictions, entry)
      print(string.format('image %s: %s', entry.image_id, entry.caption))
    end
    print(string.format('evaluating validation performance... %d/%d (%f)', data.bounds.it_pos_now - 1,
      math.min(data.bounds.it_max, val_images_use), loss))
    if data.bounds.wrapped or n >= val_images_use then break end
  end
  local lang_stats
  if opt.language_eval == 1 then
    lang_stats = net_utils.language_eval(predictions, opt.id)
  end
  return loss_sum / loss_evals, predictions, lang_stats
end

local iter, loss0, best_score = 0, nil, nil
local loss_history, val_loss_history, val_lang_stats_history = {}, {}, {}
while true do
  local data = loader:getBatch{batch_size = opt.batch_size, split = 'train', seq_per_img = opt.seq_per_img}
  local loss = protos.lm:loss(data, true)
  if iter % opt.losses_log_every == 0 then loss_history[iter] = loss end
  print(string.format('iter %d: %f', iter, loss))

  if iter % opt.save_checkpoint_every == 0 or iter == opt.max_iters then
    local val_loss, val_predictions, lang_stats = eval_split('val', opt.val_images_use)
    print('validation loss: ', val_loss)
    print(lang_stats)
    val_loss_history[iter] = val_loss
    if lang_stats then val_lang_stats_history[iter] = lang_stats end

    local checkpoint_path = path.join(opt.checkpoint_path, 'model_id' .. opt.id)
    local checkpoint = {opt = opt, iter = iter, loss_history = loss_history, val_loss_history = val_loss_history,
      val_predictions = val_predictions, val_lang_stats_history = val_lang_stats_history}
    utils.write_json(checkpoint_path .. '.json', checkpoint)
    print('wrote json checkpoint to ' .. checkpoint_path .. '.json')

    local current_score = lang_stats and lang_stats['CIDEr'] or -val_loss
    if best_score == nil or current_score > best_score then
      best_score = current_score
      if iter > 0 then -- never at the very first iteration
        checkpoint.protos = {lm = thin_lm, cnn = thin_cnn}
        checkpoint.vocab = loader:getVocab()
        torch.save(checkpoint_path .. '.t7', checkpoint)
        print('wrote checkpoint to ' .. checkpoint_path .. '.t7')
      end
    end
  end

  local rate = opt.learning_rate
  if opt.learning_rate_decay_start >= 0 and iter > opt.learning_rate_decay_start then
    rate = rate * math.pow(0.5, (iter - opt.learning_rate_decay_start) / opt.learning_rate_decay_every)
  end
  updates.apply(opt.optim, protos.lm, rate)
  if opt.finetune_cnn_after >= 0 and iter >= opt.finetune_cnn_after then
    updates.check_cnn(opt.cnn_optim)
  end
  net_utils.pause()

  iter = iter + 1
  if loss0 == nil then loss0 = loss end
  if loss > loss0 * 20 then
    print('loss seems to be exploding, quitting.')
    break
  end
  if opt.max_iters > 0 and iter >= opt.max_iters then break end
end
