-- Stand-in for the bindings of cuDNN 5: it opens the library and asks it for its version.
local cudnn = require "cudnn.env"
local ffi = require "ffi"
ffi.cdef [[
size_t cudnnGetVersion();
]]

local CUDNN_PATH = os.getenv("CUDNN_PATH")
if CUDNN_PATH then
   io.stderr:write("Found Environment variable CUDNN_PATH = " .. CUDNN_PATH)
   cudnn.C = ffi.load(CUDNN_PATH)
elseif not pcall(function() cudnn.C = ffi.load("libcudnn.so.5") end) then
   error([[libcudnn (R5) not found in library path.
Please install CuDNN from https://developer.nvidia.com/cuDNN
Then make sure files named as libcudnn.so.5 or libcudnn.5.dylib are placed in
your library load path (for example /usr/local/lib , or manually add a path to LD_LIBRARY_PATH)

Alternatively, set the path to libcudnn.so.5 or libcudnn.5.dylib
to the environment variable CUDNN_PATH and rerun torch.
For example: export CUDNN_PATH="/usr/local/cuda/lib64/libcudnn.so.5"
]])
end

cudnn.version = tonumber(cudnn.C.cudnnGetVersion())
if cudnn.version < 5005 or cudnn.version >= 6000 then
   error("These bindings are for CUDNN 5.x (5005 <= cudnn.version > 6000) , while the loaded CuDNN is version: "
      .. cudnn.version .. "  \nAre you using an older or newer version of CuDNN?")
end

if cutorch.driverVersion < 7050 then
   error("Insufficient GPU driver version.")
end
