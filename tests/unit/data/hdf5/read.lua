-- Opens a file by torch-hdf5 and says what it saw: luajit read.lua SOURCES LIBRARY INCLUDE FILE
-- Torch and Penlight are as much of them as that takes.
local sources, library, include, name = unpack(arg)

package.loaded["pl.stringx"] = {
    split = function(text, by)
        local parts = {}
        for part in text:gmatch("[^" .. by .. "]+") do parts[#parts + 1] = part end
        return parts
    end,
    startswith = function(text, start) return text:sub(1, #start) == start end,
    splitlines = function(text)
        local lines = {}
        for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
        return lines
    end,
}
local function exists(path) return io.open(path) ~= nil end
package.loaded["pl.path"] = {
    abspath = function(path) return path end,
    basename = function(path) return path:match("[^/]+$") end,
    dirname = function(path) return path:match("(.*)/") end,
    exists = exists,
    isdir = exists,
    isfile = exists,
    join = function(...) return table.concat({ ... }, "/") end,
    splitext = function(path) return path:match("(.*)(%.[^.]*)$") end,
}
package.loaded.torch = {
    class = function(full)
        local class = {}
        class.__index = class
        hdf5[full:match("[^.]+$")] = setmetatable({}, {
            __call = function(_, ...)
                local made = setmetatable({}, class)
                made:__init(...)
                return made
            end,
        })
        return class
    end,
    include = function(_, file)
        if file == "config.lua" then
            hdf5._config = { HDF5_LIBRARIES = library, HDF5_INCLUDE_PATH = include }
        else
            assert(loadfile(sources .. "/" .. file))()
        end
    end,
}

dofile(sources .. "/init.lua")
local file = hdf5.open(name, "r")
local children = {}
for child, object in pairs(file:read("/")._children) do children[#children + 1] = child .. " " .. tostring(object) end
hdf5.DataSetOptions()
assert(file:_printOpenObjects() == 2)
print("HDF5 " .. table.concat(hdf5.version, ".") .. ": " .. table.concat(children, ", "))
