-- ARGV: an id for a new epoch, generation, the server's run id, seeding in microseconds, the instance, its names' beginning.
local e = redis.pcall('HMGET', EPOCH, 'id', 'run', 'open')
if e.err then return {'rubbish', EPOCH} end
local m = redis.pcall('HMGET', META, 'gen', 'seq')
if m.err then return {'rubbish', META} end
local alive = redis.pcall('ZRANGE', ALIVE, 0, -1)
if alive.err then return {'rubbish', ALIVE} end
if m[1] and (tonumber(m[1]) or 0) > tonumber(ARGV[2]) then return {'stale', 'hello'} end
local id, open = e[1], tonumber(e[3])
if not id or not open or e[2] ~= ARGV[3] then
  -- Missing, or of a server process before this one, which may have forgotten its last moments or come from a snapshot: what is
  -- out with whom is not believed any more.
  id, open = ARGV[1], now + tonumber(ARGV[4])
  for _, instance in ipairs(alive) do redis.call('DEL', ARGV[6] .. 'o:' .. instance) end
  redis.call('DEL', ALIVE, OUT)
  redis.call('HSET', EPOCH, 'id', id, 'run', ARGV[3], 'at', string.format('%d', now), 'open', string.format('%d', open))
end
redis.call('HSET', META, 'gen', ARGV[2])
redis.call('EXPIRE', META, 604800)
redis.call('ZADD', ALIVE, string.format('%d', now), ARGV[5])
return {'hello', id, string.format('%d', math.max(0, open - now)), m[2] or '0'}
