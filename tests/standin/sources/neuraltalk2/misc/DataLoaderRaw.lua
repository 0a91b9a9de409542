-- Stand-in: batches out of a folder of images.
local utils = require 'misc.utils'
local net_utils = require 'misc.net_utils'
require 'lfs'
require 'image'
local path = require 'pl.path'

local DataLoaderRaw = torch.class('DataLoaderRaw')
local extensions = {jpg = true, JPG = true, jpeg = true, JPEG = true, png = true, PNG = true, ppm = true, PPM = true}

function DataLoaderRaw:__init(opt)
  print('DataLoaderRaw loading images from folder: ', opt.folder_path)
  self.files, self.ids = {}, {}
  if string.len(utils.getopt(opt, 'coco_json', '')) > 0 then
    print('reading from ' .. opt.coco_json)
    for _, img in ipairs(utils.read_json(opt.coco_json).images) do
      table.insert(self.files, path.join(opt.folder_path, img.file_name))
      table.insert(self.ids, img.id)
    end
  else
    print('listing all images in directory ' .. opt.folder_path)
    local is_image = function(name) return extensions[name:match('%.(%a+)$') or ''] end
    for name in paths.files(opt.folder_path, is_image) do
      table.insert(self.files, path.join(opt.folder_path, name))
      table.insert(self.ids, tostring(#self.files)) -- in the order of the directory
    end
  end
  print('DataLoaderRaw found ' .. #self.files .. ' images')
  self.iterator = 1
end

function DataLoaderRaw:resetIterator() self.iterator = 1 end

function DataLoaderRaw:getBatch(opt)
  local data, wrapped = {features = {}, infos = {}}, false
  for k = 1, utils.getopt(opt, 'batch_size', 5) do
    local at = self.iterator
    if at >= #self.files then wrapped = true end
    self.iterator = at >= #self.files and 1 or at + 1
    local img = image.load(self.files[at], 3, 'byte')
    data.features[k] = net_utils.mean_colour(image.scale(img, 64, 64))
    data.infos[k] = {id = self.ids[at], file_path = self.files[at]}
  end
  data.bounds = {it_pos_now = self.iterator, it_max = #self.files, wrapped = wrapped}
  return data
end
