-- Stand-in: seven tests of the pretended model; as upstream, one more that wants CUDA and ends a CPU-only host.
require 'torch'
require 'nn'
require 'nngraph'
require 'misc.LanguageModel'

local asserts = 0
local function check(fact, message)
  asserts = asserts + 1
  assert(fact, message)
end

local function model() return nn.LanguageModel{vocab_size = 20, seq_length = 7, rnn_size = 8, input_encoding_size = 8} end
local function batch(kind)
  return {features = {{0.9, 0.1, 0.1}}, labels = torch[kind](2, 7):fill(1)}
end

local function api(kind)
  return function()
    if kind == 'CudaTensor' then require 'cutorch' end
    for _ = 1, 7 do check(model():loss(batch(kind)) > 0, 'the loss is positive') end
  end
end

local function falls()
  local lm = model()
  for _ = 1, 7 do
    local before = lm:loss(batch('LongTensor'))
    for _ = 1, 50 do lm:update(4e-4) end
    check(lm:loss(batch('LongTensor')) < before + 0.2, 'the loss falls')
  end
end

local tests = {}
tests.doubleApiForwardTest = api('DoubleTensor')
tests.floatApiForwardTest = api('FloatTensor')
tests.cudaApiForwardTest = api('CudaTensor')
for _, name in ipairs{'gradCheck', 'gradCheckLM', 'overfit', 'sample', 'sample_beam'} do tests[name] = falls end

local n = 0
for _, test in pairs(tests) do
  test()
  n = n + 1
end
print(string.format('Completed %d asserts in %d tests with 0 failures', asserts, n))
