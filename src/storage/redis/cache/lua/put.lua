-- ARGV: … the answer's id, its value, how long it is kept (ms), its indexes, the last record known when it was begun, who, the
-- record, the log's length, the room for all answers.
local key, value, ttl, x, known = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local room, at = tonumber(ARGV[11]), BEGIN .. 'e:' .. ARGV[3]
local grave = tonumber(redis.call('GET', BEGIN .. 'd:' .. key) or '') or 0
if grave > known or deleted(known, x) then return {'refused'} end

if redis.call('EXISTS', ALL) == 0 then
  redis.call('UNLINK', SIZES)
  redis.call('HSET', STATE, 'bytes', 0)
end
local before = redis.pcall('HGET', at, 'x')
if type(before) == 'table' then redis.call('UNLINK', at) elseif before then drop(key, before) end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', ALL, '-inf', whole(now), 'LIMIT', 0, 32)) do uncount(old) end
-- A round sum for the names, the indexes and the record.
local size = #value + 1024
local bytes = tonumber(redis.call('HGET', STATE, 'bytes') or '0') or 0
for _ = 1, 64 do
  if bytes + size <= room then break end
  local soonest = redis.call('ZRANGE', ALL, 0, 0)[1]
  if not soonest then break end
  drop(soonest, redis.call('HGET', BEGIN .. 'e:' .. soonest, 'x') or '')
  bytes = tonumber(redis.call('HGET', STATE, 'bytes') or '0') or 0
end
if bytes + size > room then return {'full'} end

local function index(name)
  redis.call('ZADD', name, whole(now + ttl), key)
  local last = redis.call('ZRANGE', name, -1, -1, 'WITHSCORES')
  redis.call('PEXPIREAT', name, whole(tonumber(last[2]) + 60000))
end
for i = 1, #x, 32 do
  local name = BEGIN .. 'x:' .. string.sub(x, i, i + 31)
  local old = redis.call('ZRANGEBYSCORE', name, '-inf', whole(now), 'LIMIT', 0, 16)
  if #old > 0 then redis.call('ZREM', name, unpack(old)) end
  index(name)
end
index(ALL)
redis.call('HSET', SIZES, key, whole(size))
redis.call('PEXPIREAT', SIZES, whole(redis.call('PTTL', ALL) + now))
redis.call('HINCRBY', STATE, 'bytes', whole(size))
local n = tell('s', ARGV[8], ARGV[9], ARGV[10])
redis.call('HSET', at, 'v', value, 'x', x, 'n', whole(n))
redis.call('PEXPIRE', at, whole(ttl))
return {'kept', whole(n)}
