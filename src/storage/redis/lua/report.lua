-- ARGV: epoch, generation, n, number; by line: kind, time, known, field, spent, back, beyond. KEYS[5..]: the counts.
local why = gate(false)
if why then return {why, 'gate'} end
local last = redis.pcall('HGET', META, 'seq')
if type(last) == 'table' then return {'rubbish', 'meta'} end
local twice = tonumber(last or '0') >= tonumber(ARGV[4])

local touched = {}
for i = 1, tonumber(ARGV[3]) do
  local a, key = 4 + (i - 1) * 7, KEYS[4 + i]
  local kind, field = ARGV[a + 1], ARGV[a + 4]
  local spent, back, beyond = read(ARGV[a + 5]), read(ARGV[a + 6]), read(ARGV[a + 7])
  local c = load(key, kind, ARGV[a + 2], read(ARGV[a + 3]))
  touched[i] = c
  if c then raise(key, c, read(ARGV[a + 3])) end
  if c and not twice and field == '+' then
    change(c, string.format('%d', c.now), beyond)
  elseif field == '-' then
    -- Of slots that count no more nothing is kept.
  elseif c and not twice then
    local cell = field .. '@' .. key
    local held = out(cell)
    if held then
      local used = lesser(spent, held)
      local returned = lesser(back, minus(held, used))
      if kind == 'w' then
        change(c, 'u', returned, true)
        change(c, 'u', beyond)
      elseif kind == 'c' then
        change(c, 'u', plus(used, returned), true)
        change(c, 'u', beyond)
      elseif tonumber(field) >= c.now - 20 then
        change(c, field, returned, true)
      end
      held = minus(held, plus(used, returned))
      -- What is under way beyond what was given ends like the rest.
      if kind == 'c' then held = plus(held, beyond) end
      hold(cell, held)
    else
      touched[i] = false
    end
  end
end
if not twice then
  redis.call('HSET', META, 'seq', ARGV[4])
  commit()
end
local answer = {'reported', order()}
for i, c in ipairs(touched) do answer[i + 2] = c and text(c.used) or '-' end
return answer
