-- Stand-in: batches out of the HDF5 file and its JSON.
require 'hdf5'
local utils = require 'misc.utils'
local net_utils = require 'misc.net_utils'

local DataLoader = torch.class('DataLoader')

function DataLoader:__init(opt)
  print('DataLoader loading json file: ', opt.json_file)
  self.info = utils.read_json(opt.json_file)
  self.vocab_size = utils.count_keys(self.info.ix_to_word)
  print('vocab size is ' .. self.vocab_size)

  print('DataLoader loading h5 file: ', opt.h5_file)
  self.h5_file = hdf5.open(opt.h5_file, 'r')
  local size = self.h5_file:read('/images'):dataspaceSize()
  assert(#size == 4, '/images should be a 4D tensor')
  assert(size[3] == size[4], 'width and height must match')
  self.channels, self.side = size[2], size[3]
  print(string.format('read %d images of size %dx%dx%d', size[1], size[2], size[3], size[4]))
  self.seq_length = self.h5_file:read('/labels'):dataspaceSize()[2]
  print('max sequence length in data is ' .. self.seq_length)
  self.first = self.h5_file:read('/label_start_ix'):all()
  self.last = self.h5_file:read('/label_end_ix'):all()
  assert(self.h5_file:read('/label_length'):dataspaceSize()[1] == self.last[size[1]], 'label_length is too short')

  self.split_ix, self.iterators = {}, {}
  for i, img in ipairs(self.info.images) do
    self.split_ix[img.split] = self.split_ix[img.split] or {}
    self.iterators[img.split] = 1
    table.insert(self.split_ix[img.split], i)
  end
  for split, list in pairs(self.split_ix) do
    print(string.format('assigned %d images to split %s', #list, split))
  end
end

function DataLoader:resetIterator(split) self.iterators[split] = 1 end
function DataLoader:getVocabSize() return self.vocab_size end
function DataLoader:getVocab() return self.info.ix_to_word end
function DataLoader:getSeqLength() return self.seq_length end

-- The captions of image ix: n of them, from a random place on.
function DataLoader:labels(ix, n)
  local first, last = self.first[ix], self.last[ix]
  assert(last >= first, 'an image does not have any label. this can be handled but right now isn\'t')
  local from = torch.random(first, math.max(first, last - n + 1))
  return self.h5_file:read('/labels'):partial({from, math.min(last, from + n - 1)}, {1, self.seq_length})
end

function DataLoader:getBatch(opt)
  local split = utils.getopt(opt, 'split')
  local list = self.split_ix[split]
  assert(list, 'split ' .. split .. ' not found.')
  local data = {features = {}, infos = {}, labels = torch.LongTensor(opt.batch_size, self.seq_length)}
  local wrapped = false
  for k = 1, opt.batch_size do
    local at = self.iterators[split]
    local ix = list[at]
    if at == #list then wrapped = true end
    self.iterators[split] = at == #list and 1 or at + 1
    local img = self.h5_file:read('/images'):partial({ix, ix}, {1, self.channels}, {1, self.side}, {1, self.side})
    data.features[k] = net_utils.mean_colour(img)
    data.labels[k] = self:labels(ix, utils.getopt(opt, 'seq_per_img', 5))[1]
    data.infos[k] = {id = self.info.images[ix].id, file_path = self.info.images[ix].file_path}
  end
  data.bounds = {it_pos_now = self.iterators[split], it_max = #list, wrapped = wrapped}
  return data
end
