-- Stand-in for torch-hdf5: groups and tensors in HDF5 files, over the real libhdf5.
local torch = require "torch"

hdf5 = {}
hdf5._logger = { debug = function() end, warn = print, error = print }

torch.include("hdf5", "config.lua")
if not hdf5._config then
    error("Unable to find torch-hdf5 config.lua")
end

for _, part in ipairs { "ffi", "file", "dataset", "datasetOptions", "group" } do
    torch.include("hdf5", part .. ".lua")
end

function hdf5.debugMode()
    hdf5._logger.debug = print
end

-- The wrapper of what stands at `datapath` below `locationID`.
function hdf5._loadObject(parent, locationID, datapath)
    local objectID = hdf5.C.H5Oopen(locationID, datapath, hdf5.H5P_DEFAULT)
    if objectID < 0 then
        error("Unable to read from '" .. datapath .. "' in " .. tostring(parent) .. " - no such data path.")
    end
    local kind = hdf5.C.H5Iget_type(objectID)
    if hdf5.C.H5Oclose(objectID) < 0 then
        error("hdf5._loadObject: error closing object " .. objectID)
    end
    if kind == hdf5.C.H5I_GROUP then
        return hdf5.HDF5Group(parent, hdf5.C.H5Gopen2(locationID, datapath, hdf5.H5P_DEFAULT))
    elseif kind == hdf5.C.H5I_DATASET then
        return hdf5.HDF5DataSet(parent, hdf5.C.H5Dopen2(locationID, datapath, hdf5.H5P_DEFAULT))
    end
    error("Unsupported data type at " .. datapath)
end

function hdf5.open(...)
    return hdf5.HDF5File.open(...)
end

return hdf5
