-- "I am alive", and what was out with the dead returns. ARGV: epoch, generation, the instance, expiry in microseconds, the names'
-- beginning.
local why = gate(false)
if why then return {why, 'gate'} end
local before = string.format('%d', now - tonumber(ARGV[4]))
local dead = redis.pcall('ZRANGEBYSCORE', ALIVE, '-inf', '(' .. before, 'LIMIT', 0, 4)
if dead.err then return {'rubbish', ALIVE} end
redis.call('ZADD', ALIVE, string.format('%d', now), ARGV[3])
redis.call('EXPIRE', META, 604800)

local function give_back(hash, cell, amount)
  local at = string.find(cell, '@', 1, true)
  local n = read(amount)
  if at and n then
    local field, key = string.sub(cell, 1, at - 1), string.sub(cell, at + 1)
    local held = redis.pcall('HGET', key, field)
    local had = type(held) == 'string' and read(held)
    if had then
      local left = minus(had, n)
      if not zero(left) then
        redis.call('HSET', key, field, text(left))
      elseif string.sub(key, 1, #ARGV[5] + 2) == ARGV[5] .. 'c:' then
        redis.call('DEL', key)
      else
        redis.call('HSET', key, field, '0')
      end
    end
  end
  redis.call('HDEL', hash, cell)
end

for _, instance in ipairs(dead) do
  if instance ~= ARGV[3] then
    local hash, meta = ARGV[5] .. 'o:' .. instance, ARGV[5] .. 'i:' .. instance
    -- From here on it is fenced off: if it was only slow, it has to say hello and state what is out with it. Its number of the
    -- last report stays for a day.
    redis.pcall('HDEL', meta, 'gen')
    redis.pcall('EXPIRE', meta, 86400)
    local page = redis.pcall('HSCAN', hash, '0', 'COUNT', 200)
    if page.err then
      redis.call('DEL', hash)
    else
      for i = 1, #page[2], 2 do give_back(hash, page[2][i], page[2][i + 1]) end
    end
    if redis.call('EXISTS', hash) == 0 then redis.call('ZREM', ALIVE, instance) end
  end
end
local e = redis.call('HGET', EPOCH, 'open')
return {'alive', tostring(redis.call('ZCOUNT', ALIVE, before, '+inf')),
  string.format('%d', math.max(0, (tonumber(e or '0') or 0) - now))}
