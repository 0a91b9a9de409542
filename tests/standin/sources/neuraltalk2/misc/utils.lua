-- Stand-in.
local cjson = require 'cjson'
local utils = {}

function utils.getopt(opt, key, default_value)
  local value = opt and opt[key]
  if value ~= nil then return value end
  if default_value == nil then error('error: required key ' .. key .. ' was not provided in an opt.') end
  return default_value
end

-- Reads one line, like upstream's: the JSON must not be spread over several.
function utils.read_json(path)
  local file = io.open(path, 'r')
  local text = file:read()
  file:close()
  local value = cjson.decode(text)
  return value
end

function utils.write_json(path, value)
  cjson.encode_sparse_array(true, 2, 10)
  local text = cjson.encode(value)
  local file = io.open(path, 'w')
  file:write(text)
  file:close()
end

function utils.count_keys(values)
  local n = 0
  for _ in pairs(values) do n = n + 1 end
  return n
end

return utils
