local torch = require "torch"

local DataSetOptions = torch.class("hdf5.DataSetOptions")

function DataSetOptions:__init()
    if hdf5.version[1] >= 1 and hdf5.version[2] >= 8 and hdf5.version[3] >= 14 then
        self._creationProperties = hdf5.C.H5Pcreate(hdf5.C.H5P_CLS_DATASET_CREATE_ID_g)
    else
        self._creationProperties = hdf5.C.H5Pcreate(hdf5.C.H5P_CLS_DATASET_CREATE_g)
    end
end

function DataSetOptions:setChunked(...)
    self._chunking = { ... }
    return self
end

function DataSetOptions:adjustForData(tensor)
    if not self._chunking then return end
    assert(#self._chunking == tensor:nDimension(), "Chunk size must have same number of dimensions as data!")
    local dims = hdf5.ffi.new("hsize_t[?]", #self._chunking)
    for k, size in ipairs(self._chunking) do dims[k - 1] = math.min(size, tensor:size(k)) end
    hdf5.C.H5Pset_chunk(self._creationProperties, #self._chunking, dims)
end

function DataSetOptions:setDeflate(level)
    hdf5.C.H5Pset_deflate(self._creationProperties, level or 6)
    return self
end

function DataSetOptions:creationProperties()
    return self._creationProperties
end

function DataSetOptions:__tostring()
    return "[DataSetOptions: chunking=" .. (self._chunking and table.concat(self._chunking, "x") or "none") .. "]"
end
