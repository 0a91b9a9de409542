local torch = require "torch"
local path = require "pl.path"
local stringx = require "pl.stringx"

local HDF5File = torch.class("hdf5.HDF5File")

function HDF5File:__init(filename, fileID)
    assert(filename and type(filename) == 'string', "HDF5File.__init() requires a filename")
    assert(fileID and type(fileID) == 'number', "HDF5File.__init() requires a fileID - perhaps you want HDF5File.create()?")
    if fileID < 0 then
        error("HDF5File: fileID " .. fileID .. " is not valid")
    end
    self._filename = filename
    self._fileID = fileID
    self._rootGroup = hdf5._loadObject(self, fileID, "/")
end

function HDF5File:filename()
    return self._filename
end

function HDF5File:__tostring()
    return "[HDF5File: " .. hdf5._describeObject(self._fileID) .. " " .. self:filename() .. "]"
end

function HDF5File:close()
    self._rootGroup:close()
    hdf5.C.H5Fclose(self._fileID)
end

local function parts(datapath)
    return stringx.split((datapath:gsub("^/", "")), "/")
end

function HDF5File:write(datapath, data, options)
    local names = parts(datapath)
    if #names == 0 then
        error("HDF5File:write() - must provide a table when writing to the root location")
    end
    self._rootGroup:write(names, data, options)
end

function HDF5File:read(datapath)
    return self._rootGroup:read(parts(datapath or "/"))
end

function HDF5File:all()
    return self:read("/"):all()
end

function HDF5File:_printOpenObjects()
    local openCount = tonumber(hdf5.C.H5Fget_obj_count(self._fileID, hdf5.H5F_OBJ_ALL_LOCAL))
    local objList = hdf5.ffi.new("int[" .. openCount .. "]")
    hdf5.C.H5Fget_obj_ids(self._fileID, hdf5.H5F_OBJ_ALL_LOCAL, openCount, objList)
    print("File " .. tostring(self) .. " has " .. openCount .. " open objects.")
    for k = 0, openCount - 1 do print(" * " .. hdf5._describeObject(objList[k])) end
    return openCount
end

-- Modes: a (default), r, r+, w, w-
function hdf5.HDF5File.open(filename, mode)
    filename = path.abspath(filename)
    local dirname = path.dirname(filename)
    if not path.isdir(dirname) then
        error("HDF5File.open: no such directory " .. dirname)
    end
    if mode == nil or mode == "a" then
        mode = path.exists(filename) and "r+" or "w"
    end
    local opens = { r = hdf5.H5F_ACC_RDONLY, ["r+"] = hdf5.H5F_ACC_RDWR }
    local creates = { w = hdf5.H5F_ACC_TRUNC, ["w-"] = hdf5.H5F_ACC_EXCL }
    if opens[mode] then
        return hdf5.HDF5File(filename, hdf5.C.H5Fopen(filename, opens[mode], hdf5.H5P_DEFAULT))
    elseif creates[mode] then
        return hdf5.HDF5File(filename,
            hdf5.C.H5Fcreate(filename, creates[mode], hdf5.H5P_DEFAULT, hdf5.H5P_DEFAULT))
    end
    error("Unknown mode '" .. mode .. "' for hdf5.open()")
end
