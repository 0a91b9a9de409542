local Tester = torch.class("totem.Tester")

function Tester:__init() self.tests, self.asserts = {}, 0 end
function Tester:add(tests)
   for name, test in pairs(tests) do self.tests[name] = test end
   return self
end
function Tester:eq(got, wanted, message)
   self.asserts = self.asserts + 1
   assert(got == wanted, message or ("%s ~= %s"):format(tostring(got), tostring(wanted)))
end
function Tester:run()
   local n = 0
   for _, test in pairs(self.tests) do
      test()
      n = n + 1
   end
   print(("Completed %d asserts in %d tests with 0 failures"):format(self.asserts, n))
end
