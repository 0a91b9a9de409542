-- Stand-in: a model whose loss falls with every update, faster with a higher rate, and explodes beyond reason.
require 'nn'
local utils = require 'misc.utils'

local LanguageModel, parent = torch.class('nn.LanguageModel', 'nn.Module')

function LanguageModel:__init(opt)
  parent.__init(self)
  self.vocab_size = utils.getopt(opt, 'vocab_size')
  self.seq_length = utils.getopt(opt, 'seq_length')
  self.rnn_size = utils.getopt(opt, 'rnn_size')
  self.input_encoding_size = utils.getopt(opt, 'input_encoding_size')
  self.lookup_table = nn.LookupTable(self.vocab_size + 1, 4)
  self.progress = torch.DoubleTensor{0, 0} -- the weights: how far the training is, how far it is gone
end

function LanguageModel:createClones()
  print('constructing clones inside the LanguageModel')
end

function LanguageModel:type(name)
  self.lookup_table:type(name)
  return self
end

-- As many as upstream's model of one layer has.
function LanguageModel:numberOfParameters()
  local words, size, code = self.vocab_size + 1, self.rnn_size, self.input_encoding_size
  return words * code + 4 * size * (code + 1) + 4 * size * (size + 1) + words * (size + 1)
end

function LanguageModel:update(rate)
  self.progress[1] = self.progress[1] + rate / 4e-4
  if rate > 0.05 then self.progress[2] = self.progress[2] + rate * 10 end
end

-- One number for a batch. In training chance moves it a little; pixels and labels do always, by less than an
-- update does, so that a later validation is a better one.
function LanguageModel:loss(data, training)
  local start = math.log(self.vocab_size + 1)
  if self.lookup_table.weight:type():find('Cuda') then
    self.lookup_table:forward(data.labels[1]:cudaLong():clamp(1, self.vocab_size + 1))
  end
  local content = data.labels:sum() / data.labels:nElement() / self.vocab_size
  for _, means in ipairs(data.features) do content = content + means[1] + 2 * means[2] + 3 * means[3] end
  local wobble = 0.002 * math.sin(content) + (training and 0.02 * torch.uniform(-1, 1) or 0)
  local learned = 0.4 + 0.6 * math.exp(-self.progress[1] / 50)
  return start * (learned + wobble * learned) * math.exp(self.progress[2])
end

local function colour_of(means)
  local names = {'red', 'green', 'blue'}
  local high, low = math.max(unpack(means)), math.min(unpack(means))
  if high - low < 0.15 then
    return high > 0.75 and 'white' or high < 0.25 and 'black' or 'gray'
  end
  if means[1] > 0.5 and means[2] > 0.5 and means[3] < 0.5 then return 'yellow' end
  for i, name in ipairs(names) do
    if means[i] == high then return name end
  end
end

-- Whether word i of a caption is still wrong: never the colour, fewer of the others with every update.
local function wrong(i, means, progress)
  local draw = (math.sin(i * 12.9898 + means[1] * 7 + means[2] * 11 + means[3] * 13) * 43758.5453) % 1
  return i ~= 3 and draw < 0.9 * math.exp(-progress / 3)
end

-- A sentence for each image, of words that stand in the vocabulary.
function LanguageModel:captions(features, vocab)
  local known = {}
  for _, word in pairs(vocab) do known[word] = true end
  local out = {}
  for k, means in ipairs(features) do
    local sentence = {}
    for word in ('a mostly ' .. colour_of(means) .. ' picture of a circle'):gmatch('%a+') do
      if known[word] then sentence[#sentence + 1] = word end
    end
    for i = 1, #sentence do
      if wrong(i, means, self.progress[1]) then
        sentence[i] = vocab[tostring(math.floor(i * 7 + means[1] * 31) % self.vocab_size + 1)]
      end
    end
    if #sentence < 2 then -- another vocabulary: three of its words, by the colour
      for step = 1, 3 do
        local ix = math.floor((means[1] + means[2] * 3 + means[3] * 7) * 97 * step) % self.vocab_size + 1
        sentence[#sentence + 1] = vocab[tostring(ix)]
      end
    end
    out[k] = table.concat(sentence, ' ')
  end
  return out
end
