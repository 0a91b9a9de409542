-- Stand-in for argcheck.
return function(rules)
   return function(...)
      for i, rule in ipairs(rules) do
         assert(type(select(i, ...)) == rule.type, "invalid argument " .. i)
      end
      return ...
   end
end
