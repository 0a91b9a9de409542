-- Stand-in for threads: runs a job at once.
require "torch"
threads = { _STANDIN = true }
function threads.Threads()
   return { addjob = function(_, job, finish) finish(job()) end, synchronize = function() end, terminate = function() end }
end
return threads
