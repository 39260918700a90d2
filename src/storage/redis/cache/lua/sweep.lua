-- One step of taking out what a deletion covers.
-- ARGV: … the indexes it names, its number, which of them to walk, where to go on, how many.
-- Also where memory is used up: a script that has written is let finish, and this write is always allowed.
redis.call('UNLINK', BEGIN .. '-')
local mark, n = ARGV[3], tonumber(ARGV[4])
local name = ARGV[5] == '' and ALL or BEGIN .. 'x:' .. ARGV[5]
local page = redis.call('ZSCAN', name, ARGV[6], 'COUNT', ARGV[7])
local keys, gone = page[2], 0
for i = 1, #keys, 2 do
  local e = redis.pcall('HMGET', BEGIN .. 'e:' .. keys[i], 'x', 'n')
  if e.err or not e[1] then
    redis.call('ZREM', name, keys[i])
  elseif (tonumber(e[2] or '0') or 0) < n and covers(mark, set(e[1])) then
    drop(keys[i], e[1])
    gone = gone + 1
  end
end
if page[1] == '0' and tonumber(redis.call('ZSCORE', MARKS, mark) or '0') == n then
  redis.call('HSET', ENDS, mark, whole(now + FLIGHT))
end
return {'swept', page[1], whole(gone)}
