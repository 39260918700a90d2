-- What every script begins with: names, Redis' clock, the gate, what hides an answer, and taking one out.
-- KEYS: the state. ARGV: the epoch, what names begin with, and what the script itself is told.
local STATE, BEGIN = KEYS[1], ARGV[2]
local ALL, SIZES, LOG = BEGIN .. 'all', BEGIN .. 'sizes', BEGIN .. 'log'
local MARKS, ENDS = BEGIN .. 'marks', BEGIN .. 'ends'
local WEEK = 604800000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local state = redis.call('HMGET', STATE, 'id', 'n', 'floor', 'run')
local floor = tonumber(state[3] or '0') or 0
-- What an answer in flight can outlast a deletion by: longer than any request.
local FLIGHT = 900000

local function whole(n) return string.format('%.0f', n) end
local function set(x)
  local t = {}
  for i = 1, math.min(#x, 4096), 32 do t[string.sub(x, i, i + 31)] = true end
  return t
end
-- Whether an answer is in all the indexes that a deletion names; a deletion that names none is of everything.
local function covers(mark, have)
  for i = 1, #mark, 32 do
    if not have[string.sub(mark, i, i + 31)] then return false end
  end
  return true
end
-- Whether something deleted it after `n`.
local function deleted(n, x)
  if n < floor then return true end
  local marks = redis.call('ZRANGEBYSCORE', MARKS, '(' .. whole(n), '+inf', 'LIMIT', 0, 300)
  if #marks == 0 then return false end
  local have = set(x)
  for _, mark in ipairs(marks) do
    if covers(mark, have) then return true end
  end
  return false
end
local function uncount(key)
  local size = tonumber(redis.call('HGET', SIZES, key) or '0') or 0
  if size > 0 then
    redis.call('HDEL', SIZES, key)
    redis.call('HINCRBY', STATE, 'bytes', whole(-size))
  end
  redis.call('ZREM', ALL, key)
end
local function drop(key, x)
  for i = 1, math.min(#x, 4096), 32 do redis.call('ZREM', BEGIN .. 'x:' .. string.sub(x, i, i + 31), key) end
  uncount(key)
  redis.call('UNLINK', BEGIN .. 'e:' .. key)
end
-- Append a record; its number. Where something else stands in the log's way (ids beyond ours), it begins anew after a leap: others
-- see that they missed something.
local function tell(kind, who, record, length)
  local n = redis.call('HINCRBY', STATE, 'n', 1)
  local function add()
    return redis.pcall('XADD', LOG, 'MAXLEN', '~', length, whole(n) .. '-0', 'k', kind, 'i', who, 'b', record)
  end
  local added = add()
  if type(added) == 'table' and added.err then
    redis.call('UNLINK', LOG)
    n = redis.call('HINCRBY', STATE, 'n', 1000000)
    add()
  end
  redis.call('PEXPIRE', LOG, WEEK)
  redis.call('PEXPIRE', STATE, WEEK * 4)
  return n
end
