local ffi = require "ffi"
ffi.cdef [[
void loadBinary(void **handle, const char *prototxt, const char *binary);
void convertProtoToLua(void **handle, const char *lua, const char *package);
void loadModule(void **handle, const char *name, THFloatTensor *weight, THFloatTensor *bias);
void destroyBinary(void **handle);
]]
loadcaffe.C = ffi.load(package.searchpath("libloadcaffe", package.cpath))
