-- Reads by torch-hdf5 what hdf5_files.py wrote, and writes what hdf5_files.py checks: luajit hdf5_files.lua DIR
local folder = assert(arg[1], 'usage: luajit hdf5_files.lua DIR')
require 'torch'
require 'hdf5'

local images = torch.ByteTensor(6, 3, 256, 256)
local at = images:storage()
local place = 0
for n = 0, 5 do for c = 0, 2 do for y = 0, 255 do for x = 0, 255 do
   place = place + 1
   at[place] = (n * 7 + c * 3 + y + 2 * x) % 256
end end end end

local function same(one, other) return one:type() == other:type() and one:isSameSizeAs(other) and one:eq(other):all() end

for _, name in ipairs({'contiguous', 'chunked', 'compressed'}) do
   local file = hdf5.open(folder .. '/' .. name .. '.h5', 'r')
   assert(same(file:read('/images'):all(), images), name .. ': other images')
   local some = file:read('/images'):partial({2, 4}, {1, 3}, {1, 256}, {1, 256})
   assert(same(some, images:narrow(1, 2, 3):contiguous()), name .. ': other images in part')
   local size = file:read('/images'):dataspaceSize()
   assert(#size == 4 and size[1] == 6 and size[4] == 256, name .. ': another size')
   local labels = file:read('/labels'):all()
   assert(labels:type() == 'torch.IntTensor' and labels:size(1) == 30 and labels:size(2) == 16 and labels[30][16] == 20)
   assert(file:read('/label_length'):all():sum() == 480)
   assert(file:read('/label_start_ix'):all()[6] == 26 and file:read('/label_end_ix'):all()[6] == 30)
   file:close()
end

local large = hdf5.open(folder .. '/large.h5', 'r')
local last = large:read('/images'):partial({11000, 11000}, {1, 3}, {1, 256}, {1, 256})
assert(same(last, images:narrow(1, 6, 1):contiguous()), 'another last image of 11,000')
large:close()

local options = hdf5.DataSetOptions()
options:setChunked(1, 3, 64, 64)
options:setDeflate()
local appended = hdf5.open(folder .. '/appended.h5', 'w')
appended:write('/images', images, options)
appended:append('/images', images, options)
appended:close()

local bytes = torch.ByteTensor(2200, 1000, 1000):fill(1)
bytes[2200][1000][1000] = 9
local written = hdf5.open(folder .. '/large-by-torch.h5', 'w')
written:write('/bytes', bytes)
written:close()
print('torch-hdf5 read and wrote all files by HDF5 ' .. table.concat(hdf5.version, '.'))
