-- A small generator (Park and Miller): the same numbers everywhere for the same seed.
local state = 123

function torch.manualSeed(seed)
   state = tonumber(seed) % 2147483646 + 1
   return seed
end
function torch.seed() return torch.manualSeed(os.time()) end

local function draw()
   state = (16807 * state) % 2147483647
   return (state - 1) / 2147483646
end

function torch.uniform(low, high)
   low, high = low or 0, high or 1
   return low + (high - low) * draw()
end

-- random(): a whole number; random(n): 1..n; random(a, b): a..b
function torch.random(first, last)
   if not first then return math.floor(draw() * 2147483647) end
   if not last then first, last = 1, first end
   return math.min(last, first + math.floor(draw() * (last - first + 1)))
end

function torch.normal(mean, deviation)
   local radius = math.sqrt(-2 * math.log(1 - draw()))
   return (mean or 0) + (deviation or 1) * radius * math.cos(2 * math.pi * draw())
end

function torch.randperm(n)
   local out = torch.range(1, n)
   for i = n, 2, -1 do
      local j = torch.random(i)
      out[i], out[j] = out[j], out[i]
   end
   return out
end

local Timer = torch.class("torch.Timer")
function Timer:__init() self.start = os.clock() end
function Timer:reset() self.start = os.clock() return self end
function Timer:time() return { real = os.clock() - self.start, user = os.clock() - self.start, sys = 0 } end
function torch.tic() return os.clock() end
function torch.toc(start) return os.clock() - start end
