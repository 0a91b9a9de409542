local torch = require "torch"
local ffi = require "ffi"

local HDF5DataSet = torch.class("hdf5.HDF5DataSet")

function HDF5DataSet:__init(parent, datasetID, dataspaceID)
    self._parent = assert(parent)
    self._datasetID = assert(datasetID)
    self._dataspaceID = dataspaceID or hdf5.C.H5Dget_space(datasetID)
end

function HDF5DataSet:__tostring()
    return "[HDF5DataSet " .. hdf5._describeObject(self._datasetID) .. "]"
end

function HDF5DataSet:dataspaceSize()
    local n = hdf5.C.H5Sget_simple_extent_ndims(self._dataspaceID)
    local dims = ffi.new("hsize_t[?]", n)
    hdf5.C.H5Sget_simple_extent_dims(self._dataspaceID, dims, nil)
    local out = {}
    for k = 1, n do out[k] = tonumber(dims[k - 1]) end
    return out
end

function HDF5DataSet:getTensorFactory()
    local typeID = hdf5.C.H5Dget_type(self._datasetID)
    local kind = hdf5._getTorchType(typeID)
    hdf5.C.H5Tclose(typeID)
    return torch.factory(kind), hdf5._nativeTypeForTensorType(kind)
end

function HDF5DataSet:_read(tensor, native, memorySpaceID, fileSpaceID)
    local status = hdf5.C.H5Dread(self._datasetID, native, memorySpaceID, fileSpaceID, hdf5.H5P_DEFAULT,
        tensor:data())
    if status < 0 then
        error("HDF5DataSet: failed reading data from " .. tostring(self))
    end
    return tensor
end

function HDF5DataSet:all()
    local factory, native = self:getTensorFactory()
    return self:_read(factory():resize(self:dataspaceSize()), native, hdf5.H5S_ALL, hdf5.H5S_ALL)
end

-- partial({first, last}, ...): one range for each dimension
function HDF5DataSet:partial(...)
    local ranges, n = { ... }, hdf5.C.H5Sget_simple_extent_ndims(self._dataspaceID)
    if #ranges ~= n then
        error("HDF5DataSet:partial() - dimension mismatch. Expected " .. n .. " but " .. #ranges .. " were given.")
    end
    local offset, count, size = ffi.new("hsize_t[?]", n), ffi.new("hsize_t[?]", n), {}
    for k, range in ipairs(ranges) do
        if type(range) ~= "table" then range = { range, range } end
        offset[k - 1], size[k] = range[1] - 1, range[2] - range[1] + 1
        count[k - 1] = size[k]
    end
    local status = hdf5.C.H5Sselect_hyperslab(self._dataspaceID, hdf5.C.H5S_SELECT_SET, offset, nil, count, nil)
    if status < 0 then
        error("Cannot select hyperslab from " .. tostring(self))
    end
    local factory, native = self:getTensorFactory()
    local memorySpaceID = hdf5.C.H5Screate_simple(n, count, nil)
    local tensor = self:_read(factory():resize(size), native, memorySpaceID, self._dataspaceID)
    hdf5.C.H5Sclose(memorySpaceID)
    return tensor
end

function HDF5DataSet:close()
    if hdf5.C.H5Dclose(self._datasetID) < 0 or hdf5.C.H5Sclose(self._dataspaceID) < 0 then
        error("Failed closing dataset for " .. tostring(self))
    end
end
