-- Options of a program: text, option, argument, parse, help.
local CmdLine = torch.class("torch.CmdLine")

local function bare(key) return (key:gsub("^%-+", "")) end

function CmdLine:__init()
   self.options, self.arguments, self.lines = {}, {}, {}
end

function CmdLine:text(text)
   self.lines[#self.lines + 1] = text or ""
end

function CmdLine:option(key, default, help)
   assert(default ~= nil, "option " .. key .. " has no default value")
   self.options[key] = { key = key, default = default, help = help }
   self.lines[#self.lines + 1] = self.options[key]
end

function CmdLine:argument(key, help)
   self.arguments[#self.arguments + 1] = { key = key, help = help }
   self.lines[#self.lines + 1] = self.arguments[#self.arguments]
end

function CmdLine:error(message)
   print("")
   io.stderr:write(message)
   print("")
   self:help()
   os.exit(1)
end

function CmdLine:value(option, given)
   if given == nil then self:error("missing argument for option " .. option.key) end
   if type(option.default) ~= "number" then return given end
   return tonumber(given) or self:error("invalid type for option " .. option.key .. " (should be number)")
end

function CmdLine:parse(arg)
   local params, i, taken = {}, 1, 0
   for key, option in pairs(self.options) do params[bare(key)] = option.default end
   while i <= #arg do
      local option = self.options[arg[i]]
      if arg[i] == "-help" or arg[i] == "-h" or arg[i] == "--help" then
         self:help(arg)
         os.exit(0)
      elseif option and type(option.default) == "boolean" then
         params[bare(option.key)] = not option.default
         i = i + 1
      elseif option then
         params[bare(option.key)] = self:value(option, arg[i + 1])
         i = i + 2
      else
         taken = taken + 1
         if taken > #self.arguments then self:error("invalid argument: " .. arg[i]) end
         params[bare(self.arguments[taken].key)] = arg[i]
         i = i + 1
      end
   end
   if taken ~= #self.arguments then self:error("not enough arguments") end
   return params
end

function CmdLine:help(arg)
   local width = 0
   for _, line in ipairs(self.lines) do
      if type(line) == "table" then width = math.max(width, #line.key + 2) end
   end
   io.write("Usage: ", arg and arg[0] .. " " or "", "[options]")
   for _, argument in ipairs(self.arguments) do io.write(" <", bare(argument.key), ">") end
   io.write("\n")
   for _, line in ipairs(self.lines) do
      if type(line) == "table" then
         local key = line.default == nil and "<" .. bare(line.key) .. ">" or line.key
         io.write("  ", key, string.rep(" ", width - #key), line.help or "")
         if line.default ~= nil then io.write(" [", tostring(line.default), "]") end
         io.write("\n")
      else
         io.write(line, "\n")
      end
   end
end
