local torch = require "torch"
local ffi = require "ffi"

local HDF5Group = torch.class("hdf5.HDF5Group")

function HDF5Group:__init(parent, groupID)
    self._parent = assert(parent)
    self._groupID = assert(groupID)
    if self._groupID < 0 then
        error("Invalid groupID " .. groupID)
    end
    self._description = tostring(self)
    self._children = {}
    local callback = ffi.cast("H5L_iterate_t", function(baseGroupID, linkName)
        local name = ffi.string(linkName)
        self._children[name] = hdf5._loadObject(self, baseGroupID, name)
        return 0
    end)
    hdf5.C.H5Literate(groupID, hdf5.C.H5_INDEX_NAME, hdf5.C.H5_ITER_NATIVE, nil, callback, nil)
    callback:free()
end

function HDF5Group:__tostring()
    return "[HDF5Group " .. self._groupID .. " " .. hdf5._getObjectName(self._groupID) .. "]"
end

local function sizes(tensor)
    local n = tensor:nDimension()
    local out = ffi.new("hsize_t[?]", n)
    for k = 1, n do out[k - 1] = tensor:size(k) end
    return n, out
end

function HDF5Group:_writeDataSet(name, tensor, options)
    options = options or hdf5.DataSetOptions()
    options:adjustForData(tensor)
    local n, dims = sizes(tensor)
    local spaceID = hdf5.C.H5Screate_simple(n, dims, nil)
    local kind = torch.typename(tensor)
    local datasetID = hdf5.C.H5Dcreate2(self._groupID, name, hdf5._outputTypeForTensorType(kind), spaceID,
        hdf5.H5P_DEFAULT, options:creationProperties(), hdf5.H5P_DEFAULT)
    local status = hdf5.C.H5Dwrite(datasetID, hdf5._nativeTypeForTensorType(kind), hdf5.H5S_ALL, hdf5.H5S_ALL,
        hdf5.H5P_DEFAULT, tensor:contiguous():data())
    if status < 0 then
        error("Error writing data " .. name .. " to " .. tostring(self))
    end
    return hdf5.HDF5DataSet(self, datasetID, spaceID)
end

function HDF5Group:getOrCreateChild(name)
    if not self._children[name] then
        self._children[name] = hdf5.HDF5Group(self, hdf5.C.H5Gcreate2(self._groupID, name,
            hdf5.H5P_DEFAULT, hdf5.H5P_DEFAULT, hdf5.H5P_DEFAULT))
    end
    return self._children[name]
end

function HDF5Group:write(datapath, data, options)
    local key = datapath[1]
    if #datapath > 1 then
        return self:getOrCreateChild(key):write({ unpack(datapath, 2) }, data, options)
    end
    if torch.isTensor(data) then
        self._children[key] = self:_writeDataSet(key, data, options)
    elseif type(data) == "table" then
        local child = self:getOrCreateChild(key)
        for name, value in pairs(data) do child:write({ name }, value, options) end
    else
        error("torch-hdf5: writing data of type " .. type(data) .. " is not supported")
    end
end

function HDF5Group:read(datapath)
    if #datapath == 0 then
        return self
    end
    local child = self._children[datapath[1]]
    if not child then
        error("HDF5Group:read() - no such child '" .. datapath[1] .. "' for " .. tostring(self))
    end
    if #datapath == 1 then
        return child
    end
    return child:read({ unpack(datapath, 2) })
end

function HDF5Group:all()
    local out = {}
    for name, child in pairs(self._children) do out[name] = child:all() end
    return out
end

function HDF5Group:close()
    for _, child in pairs(self._children) do child:close() end
    if hdf5.C.H5Gclose(self._groupID) < 0 then
        error("Error closing " .. tostring(self))
    end
end
