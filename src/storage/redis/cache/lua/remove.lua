-- Answers by their ids, as far as they are in all the indexes that are named; no ids: only the record.
-- ARGV: … those indexes, the record's kind, who, the record, the log's length, and the ids.
-- Also where memory is used up: a script that has written is let finish, and this write is always allowed.
redis.call('UNLINK', BEGIN .. '-')
local n, gone = tell(ARGV[4], ARGV[5], ARGV[6], ARGV[7]), 0
for i = 8, #ARGV do
  local key = ARGV[i]
  redis.call('SET', BEGIN .. 'd:' .. key, whole(n), 'PX', FLIGHT)
  local x = redis.pcall('HGET', BEGIN .. 'e:' .. key, 'x')
  if type(x) == 'table' then
    redis.call('UNLINK', BEGIN .. 'e:' .. key)
  elseif x and covers(ARGV[3], set(x)) then
    drop(key, x)
    gone = gone + 1
  end
end
return {'removed', whole(n), whole(gone)}
