-- Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
-- Writes a tensor to HDF5 and reads it back.
local path = assert(arg[1], 'usage: luajit round_trip.lua FILE')
require 'torch'
require 'hdf5'
local tensor = torch.FloatTensor(3, 4):fill(2.5)
local file = hdf5.open(path, 'w')
file:write('/tensor', tensor)
file:close()
file = hdf5.open(path, 'r')
local back = file:read('/tensor'):all()
file:close()
os.remove(path)
assert(back:size(1) == 3 and back:size(2) == 4 and math.abs(back:sum() - 30) < 1e-6, 'another tensor came back')
print(string.format('round trip through HDF5 %s: 12 floats', table.concat(hdf5.version, '.')))
