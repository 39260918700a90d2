-- ARGV: epoch, generation, n; by ask: kind, time, known, need, ahead, limit. KEYS[5..]: the counts.
local why = gate(true)
if why then return {why, 'gate'} end

local function after(c, room, need, limit)
  if c.kind ~= 's' or less(limit, need) then return '' end
  for slot = c.now - 20, c.now do
    room = plus(room, c.slots[string.format('%d', slot)] or ZERO)
    if not less(room, need) then return string.format('%d', (slot + 21) * c.width - now) end
  end
  return ''
end

local n = tonumber(ARGV[3])
for i = 1, n do
  local a, key = 3 + (i - 1) * 6, KEYS[4 + i]
  if not load(key, ARGV[a + 1], ARGV[a + 2], read(ARGV[a + 3])) then return {'rubbish', key} end
end
for i = 1, n do raise(KEYS[4 + i], counts[KEYS[4 + i]], read(ARGV[6 + (i - 1) * 6])) end

local granted = {'granted', ''}
for i = 1, n do
  local a, key = 3 + (i - 1) * 6, KEYS[4 + i]
  local kind = ARGV[a + 1]
  local need, ahead, limit = read(ARGV[a + 4]), read(ARGV[a + 5]), read(ARGV[a + 6])
  local c = counts[key]
  local room = minus(limit, c.used)
  if less(room, need) then
    return {'refused', tostring(i - 1), text(room), after(c, room, need, limit), string.format('%d', now)}
  end
  local amount = plus(need, lesser(ahead, hundredth(minus(room, need))))
  local field = kind == 's' and string.format('%d', c.now) or 'u'
  local cell = field .. '@' .. key
  local held = out(cell)
  if not held then return {'rubbish', cell} end
  if not zero(amount) then
    change(c, field, amount)
    hold(cell, plus(held, amount))
  end
  granted[#granted + 1] = text(amount)
  granted[#granted + 1] = text(c.used)
  granted[#granted + 1] = field
end
granted[2] = order()
commit()
return granted
