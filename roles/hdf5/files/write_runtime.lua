-- Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
-- Writes runtime.lua for torch-hdf5: the preprocessed declarations of hdf5.h and the soname of the library,
-- so that torch-hdf5 needs no gcc, no headers and no unversioned library when it is used.
local target = assert(arg[1], 'usage: luajit write_runtime.lua TARGET')
os.remove(target) -- torch-hdf5 would read an old one instead of searching again
require 'torch'
require 'hdf5'

local function output(command)
   local pipe = assert(io.popen(command))
   local text = pipe:read('*all')
   pipe:close()
   return text
end

local mapped = assert(io.open('/proc/self/maps')):read('*all')
local library = assert(mapped:match('(/%S*libhdf5[^/%s]*%.so[%d%.]*)\n'), 'libhdf5 is not mapped')
local soname = assert(output('readelf -d ' .. library):match('SONAME[^%[]*%[([^%]]+)%]'), 'no soname: ' .. library)

local includes, header = '', nil
for directory in hdf5._config.HDF5_INCLUDE_PATH:gmatch('[^;]+') do
   includes = includes .. ' -I' .. directory
   local file = io.open(directory .. '/hdf5.h')
   if file then header = directory .. '/hdf5.h'; file:close() end
end
assert(header, 'no hdf5.h below ' .. hdf5._config.HDF5_INCLUDE_PATH)
local lines = {}
for line in output("gcc -std=gnu11 -D '_Nullable=' -E " .. header .. includes):gmatch('[^\n]+') do
   if line:sub(1, 1) ~= '#' and line:find('%S') then lines[#lines + 1] = line end
end
assert(#lines > 100, 'gcc -E ' .. header .. ' gave ' .. #lines .. ' lines')

local file = assert(io.open(target .. '.new', 'w'))
file:write('-- Written by neuraltalk-provision when torch-hdf5 was built.\n')
file:write(string.format('hdf5._config.RUNTIME_SONAME = %q\n', soname))
file:write('hdf5._config.RUNTIME_CDEF = [==[\n', table.concat(lines, '\n'), '\n]==]\n')
assert(file:close())
assert(os.rename(target .. '.new', target))
print(string.format('kept the declarations of %s (%d lines) for %s', header, #lines, soname))
