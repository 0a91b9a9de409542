-- Stand-in for gnuplot.
require "torch"
gnuplot = { plot = function() error("the stand-in does not plot") end }
return gnuplot
