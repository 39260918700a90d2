-- A deletion by properties begins: from now on what it covers is hidden, and what of it is under way is refused.
-- ARGV: … the indexes it names, who, the record, the log's length.
-- Also where memory is used up: a script that has written is let finish, and this write is always allowed.
redis.call('UNLINK', BEGIN .. '-')
local mark = ARGV[3]
local least, index = redis.call('ZCARD', ALL), ''
for i = 1, #mark, 32 do
  local piece = string.sub(mark, i, i + 31)
  local count = redis.call('ZCARD', BEGIN .. 'x:' .. piece)
  if count < least then least, index = count, piece end
end
for _, old in ipairs(redis.call('ZRANGE', MARKS, 0, 300)) do
  if (tonumber(redis.call('HGET', ENDS, old) or '0') or 0) < now then
    redis.call('ZREM', MARKS, old)
    redis.call('HDEL', ENDS, old)
  end
end
if redis.call('ZCARD', MARKS) >= 256 then
  -- Too many to look through: all that is older than the oldest goes with it.
  local oldest = redis.call('ZPOPMIN', MARKS)
  redis.call('HDEL', ENDS, oldest[1])
  redis.call('HSET', STATE, 'floor', whole(math.max(floor, tonumber(oldest[2]) or 0)))
end
-- Should whoever deletes end half way, the rest stays hidden until it ends by itself.
local last = redis.call('ZRANGE', index == '' and ALL or BEGIN .. 'x:' .. index, -1, -1, 'WITHSCORES')
local ends = math.max(now + FLIGHT, (tonumber(last[2] or '0') or 0) + 1000, tonumber(redis.call('HGET', ENDS, mark) or '0') or 0)
local n = tell('d', ARGV[4], ARGV[5], ARGV[6])
redis.call('ZADD', MARKS, whole(n), mark)
redis.call('HSET', ENDS, mark, whole(ends))
return {'marked', whole(n), index}
