-- Stand-in for cunn: modules of nn on devices.
require "cutorch"
require "nn"
require "cunn.THCUNN"
require "cunn.test"
