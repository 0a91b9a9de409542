-- Classes: torch.class("package.Name"[, "package.Parent"]) gives the metatable and its parent.
local classes = {}

local function place(name, value)
   local owner, key = _G, name
   local module, rest = name:match("^(.-)%.([^.]+)$")
   if module then
      owner, key = rawget(_G, module), rest
      assert(type(owner) == "table", "class " .. name .. ": the module table " .. module .. " is missing")
   end
   owner[key] = value
end

function torch.class(name, parent_name)
   assert(not classes[name], "class " .. name .. " has been already assigned a factory or parent")
   local parent = parent_name and assert(classes[parent_name], "unknown parent class " .. tostring(parent_name))
   local metatable = { __typename = name, __parent = parent, __init = function() end }
   metatable.__index = metatable
   for _, event in ipairs { "__tostring", "__call", "__init" } do
      metatable[event] = parent and parent[event] or metatable[event]
   end
   setmetatable(metatable, { __index = parent })
   classes[name] = metatable
   place(name, setmetatable({}, {
      __index = metatable,
      __newindex = metatable,
      __call = function(_, ...)
         local object = setmetatable({}, metatable)
         metatable.__init(object, ...)
         return object
      end,
   }))
   return metatable, parent
end

function torch.factory(name)
   local metatable = classes[name]
   return metatable and function() return setmetatable(metatable.__empty and metatable.__empty() or {}, metatable) end
end

function torch.getmetatable(name)
   return classes[name]
end

function torch.typename(object)
   local metatable = type(object) == "table" and getmetatable(object)
   return type(metatable) == "table" and rawget(metatable, "__typename") or nil
end

function torch.type(object)
   return torch.typename(object) or type(object)
end

function torch.isTypeOf(object, name)
   local metatable = getmetatable(object)
   while type(metatable) == "table" do
      local own = rawget(metatable, "__typename")
      if own and (own == name or own:match("%.([^.]+)$") == name) then return true end
      metatable = rawget(metatable, "__parent")
   end
   return false
end
