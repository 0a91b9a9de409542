-- The library, its declarations (all of hdf5.h, through the preprocessor), its types.
local torch = require "torch"
local ffi = require "ffi"
local stringx = require "pl.stringx"
local path = require "pl.path"

local function loadHDF5Library(libraries)
    for _, library in ipairs(stringx.split(libraries, ";")) do
        if path.splitext(path.basename(library)) == "libhdf5" then
            if path.isfile(library) then
                return ffi.load(library)
            end
            hdf5._logger.warn("Unable to find the HDF5 lib we were built against - trying to find it elsewhere")
            return ffi.load("hdf5")
        end
    end
    error("Error: unable to find a valid HDF5 lib path in the config")
end

local function loadHDF5Header(includePath)
    local header, options = nil, ""
    for directory in includePath:gmatch("[^;]+") do
        local candidate = path.join(directory, "hdf5.h")
        if path.isfile(candidate) then
            header = candidate
        end
        options = options .. " -I" .. directory
    end
    if not header then
        error("Error: unable to locate HDF5 header file at hdf5.h")
    end
    local process = io.popen("gcc -D '_Nullable=' -E " .. header .. options)
    local contents = process:read("*all")
    process:close()
    if contents == "" then
        error("Error: unable to parse HDF5 header file at " .. header)
    end
    local lines = {}
    for _, line in ipairs(stringx.splitlines(contents)) do
        if not stringx.startswith(line, "#") then
            lines[#lines + 1] = line
        end
    end
    ffi.cdef(table.concat(lines, "\n"))
end

hdf5.C = loadHDF5Library(hdf5._config.HDF5_LIBRARIES)
loadHDF5Header(hdf5._config.HDF5_INCLUDE_PATH)

hdf5.C.H5open()
hdf5.ffi = ffi

local function checkHDF5Version()
    local maj, min, rel = ffi.new("unsigned int[1]"), ffi.new("unsigned int[1]"), ffi.new("unsigned int[1]")
    hdf5.C.H5get_libversion(maj, min, rel)
    if maj[0] ~= 1 or min[0] ~= 8 then
        error("Unsupported HDF5 version: " .. maj[0] .. "." .. min[0] .. "." .. rel[0])
    end
    hdf5.version = { tonumber(maj[0]), tonumber(min[0]), tonumber(rel[0]) }
end
checkHDF5Version()

hdf5.H5F_ACC_RDONLY = 0x0000
hdf5.H5F_ACC_RDWR = 0x0001
hdf5.H5F_ACC_TRUNC = 0x0002
hdf5.H5F_ACC_EXCL = 0x0004
hdf5.H5F_OBJ_ALL_LOCAL = 0x003f
hdf5.H5P_DEFAULT = 0
hdf5.H5S_ALL = 0

local inFile = { -- how a tensor is stored
    Byte = "STD_U8LE", Char = "STD_I8LE", Short = "STD_I16LE", Int = "STD_I32LE", Long = "STD_I64LE",
    Float = "IEEE_F32LE", Double = "IEEE_F64LE",
}
local inMemory = {
    Byte = "NATIVE_UCHAR", Char = "NATIVE_SCHAR", Short = "NATIVE_SHORT", Int = "NATIVE_INT",
    Long = "NATIVE_LONG", Float = "NATIVE_FLOAT", Double = "NATIVE_DOUBLE",
}

local function typeOf(names, tensorType)
    local name = names[tensorType:match("^torch%.(%a+)Tensor$")]
    return name and hdf5.C["H5T_" .. name .. "_g"] or error("Cannot find hdf5 type for " .. tensorType)
end
function hdf5._outputTypeForTensorType(tensorType) return typeOf(inFile, tensorType) end
function hdf5._nativeTypeForTensorType(tensorType) return typeOf(inMemory, tensorType) end

local classNames = { [0] = "INTEGER", "FLOAT", "TIME", "STRING", "BITFIELD", "OPAQUE", "COMPOUND", "REFERENCE" }
local integers = { [1] = "Byte", [2] = "Short", [4] = "Int", [8] = "Long" }
local floats = { [4] = "Float", [8] = "Double" }

function hdf5._getTorchType(typeID)
    local className = classNames[tonumber(hdf5.C.H5Tget_class(typeID))]
    local size = tonumber(hdf5.C.H5Tget_size(typeID))
    local known = className == "INTEGER" and integers or className == "FLOAT" and floats
    if not known then
        error("Reading data of class " .. tostring(className) .. "(" .. typeID .. ") is unsupported")
    end
    return "torch." .. (known[size] or error("Cannot support reading data with size = " .. size .. " bytes")) .. "Tensor"
end

function hdf5._getObjectName(objectID)
    local name = ffi.new("char[255]")
    hdf5.C.H5Iget_name(objectID, name, 255)
    return ffi.string(name)
end

local typeMap = {}

typeMap[tonumber(hdf5.C.H5I_FILE)] =        'FILE'
typeMap[tonumber(hdf5.C.H5I_GROUP)] =       'GROUP'
typeMap[tonumber(hdf5.C.H5I_DATATYPE)] =    'DATATYPE'
typeMap[tonumber(hdf5.C.H5I_DATASPACE)] =   'DATASPACE'
typeMap[tonumber(hdf5.C.H5I_DATASET)] =     'DATASET'
typeMap[tonumber(hdf5.C.H5I_ATTR)] =        'ATTR'
typeMap[tonumber(hdf5.C.H5I_REFERENCE)] =   'REFERENCE '          -- type ID for Reference objects

function hdf5._getObjectType(objectID)
    local kind = hdf5.C.H5Iget_type(objectID)
    if kind == hdf5.C.H5I_BADID then
        error("Error getting type for object " .. objectID)
    end
    return typeMap[tonumber(kind)] or error("Could not get name for type " .. tostring(kind))
end

function hdf5._describeObject(objectID)
    return "(" .. tostring(objectID) .. " " .. hdf5._getObjectName(objectID) .. " "
        .. hdf5._getObjectType(objectID) .. ")"
end
