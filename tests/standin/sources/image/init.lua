-- Stand-in for image: load, save, scale. Images are 3 x height x width; 'byte' keeps 0..255, else 0..1.
require "torch"
require "xlua"
require "dok"
image = { _VERSION = "2017-04-20" }

-- What the file is, by its first bytes: its name may lie.
local function kind(name)
   local file = io.open(name, "rb")
   if not file then dok.error("no such file: " .. name, "image.load") end
   local head = file:read(8) or ""
   file:close()
   if head:sub(1, 3) == "\255\216\255" then return "jpg" end
   if head:sub(1, 4) == "\137PNG" then return "png" end
   return name:lower():match("%.png$") and "png" or "jpg"
end

local wrappers = { jpg = { "libjpeg", "libjpeg" }, png = { "liblua_png", "libpng" } }

function image.load(name, depth, tensortype)
   local which = kind(name)
   local module, library = unpack(wrappers[which])
   local wrapper = xlua.require(module)
   if not wrapper then
      dok.error(library .. " package not found, please install " .. library, "image.load" .. which:upper())
   end
   local width, height, bytes = wrapper.load(name)
   local out = tensortype == "byte" and torch.ByteTensor(3, height, width) or torch.Tensor(3, height, width)
   local pointer, area = out:data(), width * height
   local ffi = require "ffi"
   local source = ffi.cast("const unsigned char *", bytes)
   local factor = tensortype == "byte" and 1 or 1 / 255
   for i = 0, area - 1 do
      for plane = 0, 2 do pointer[plane * area + i] = source[3 * i + plane] * factor end
   end
   return out
end

function image.scale(source, width, height)
   local out = torch.factory(source:type())():resize(source:size(1), height, width)
   local from, to, rows, columns = source:data(), out:data(), source:size(2), source:size(3)
   for plane = 0, source:size(1) - 1 do
      for y = 0, height - 1 do
         local row = (plane * rows + math.floor(y * rows / height)) * columns
         for x = 0, width - 1 do
            to[(plane * height + y) * width + x] = from[row + math.floor(x * columns / width)]
         end
      end
   end
   return out
end

function image.save(name, tensor)
   local wrapper = xlua.require("liblua_png") or dok.error("libpng package not found, please install libpng", "image.savePNG")
   local height, width = tensor:size(2), tensor:size(3)
   local area, factor = width * height, tensor:type() == "torch.ByteTensor" and 1 or 255
   local bytes = {}
   for i = 0, area - 1 do
      for plane = 0, 2 do
         bytes[#bytes + 1] = string.char(math.floor(tonumber(tensor:data()[plane * area + i]) * factor + 0.5))
      end
   end
   wrapper.save(name, width, height, table.concat(bytes))
end

return image
