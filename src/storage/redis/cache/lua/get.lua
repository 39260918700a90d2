-- ARGV: … the answer's id, the largest that is wanted.
local key, at = ARGV[3], BEGIN .. 'e:' .. ARGV[3]
local e = redis.pcall('HMGET', at, 'n', 'x')
if e.err then
  redis.call('UNLINK', at)
  return {'foreign'}
end
local n = tonumber(e[1] or '')
if not n then
  if redis.call('UNLINK', at) > 0 then return {'foreign'} end
  return {'none'}
end
if deleted(n, e[2] or '') then
  drop(key, e[2] or '')
  return {'none'}
end
if redis.call('HSTRLEN', at, 'v') > tonumber(ARGV[4]) then
  drop(key, e[2] or '')
  return {'foreign'}
end
return {'found', whole(n), redis.call('HGET', at, 'v') or ''}
