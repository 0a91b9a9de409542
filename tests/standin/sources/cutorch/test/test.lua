-- Stand-in for cutorch's tests: what a device computes against what the processor computes.
local tests = {
   mm = function()
      local a, b = torch.FloatTensor(5, 7):uniform(-1, 1), torch.FloatTensor(7, 3):uniform(-1, 1)
      local difference = torch.mm(a, b):add(-1, torch.mm(a:cuda(), b:cuda()):float())
      return math.max(difference:max(), -difference:min()) < 1e-5
   end,
   copy = function()
      local a = torch.FloatTensor(9):uniform(-1, 1)
      return a:cuda():float():add(-1, a):norm() == 0
   end,
   setDevice = function()
      local before = cutorch.getDevice()
      for device = 1, cutorch.getDeviceCount() do cutorch.setDevice(device) end
      cutorch.setDevice(before)
      return not pcall(cutorch.setDevice, cutorch.getDeviceCount() + 1)
   end,
}

-- Runs them and tells of each; an error where one fails.
function cutorch._run(all)
   local names, failed = {}, 0
   for name in pairs(all) do names[#names + 1] = name end
   table.sort(names)
   print("Running " .. #names .. " tests (stand-in)")
   for i, name in ipairs(names) do
      local fine, value = pcall(all[name])
      fine = fine and value
      if not fine then failed = failed + 1 end
      print(("%2d/%d %s %s [%s]"):format(i, #names, name, ("."):rep(60 - #name), fine and "PASS" or "FAIL"))
   end
   print(("Completed %d asserts in %d tests with %d failures and 0 errors"):format(#names, #names, failed))
   if failed > 0 then error("An error was found while running tests!") end
end

function cutorch.test() cutorch._run(tests) end
