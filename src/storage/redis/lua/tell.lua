-- An instance that comes back states what is out with it, and after a loss of memory also what it knows to be used.
-- ARGV: epoch, generation, n; by line: kind, time, known, field, out, mode (k keep: same epoch; l lost). KEYS[5..]: the counts.
local why = gate(false)
if why then return {why, 'gate'} end

local function seed(c, known)
  if c.kind == 's' and c.more.e == ARGV[1] then
    c.seed, c.at = read(c.more.seed) or ZERO, c.more.at or string.format('%d', c.now)
  elseif c.kind == 's' then
    c.seed, c.at = c.used, string.format('%d', c.now)
  end
  if less(c.seed, known) then
    change(c, c.at, minus(known, c.seed))
    c.seed, c.seeded = known, true
  end
  c.changed = true
end

for i = 1, tonumber(ARGV[3]) do
  local a, key = 3 + (i - 1) * 6, KEYS[4 + i]
  local kind, known, field = ARGV[a + 1], read(ARGV[a + 3]), ARGV[a + 4]
  local stated, lost = read(ARGV[a + 5]), ARGV[a + 6] == 'l'
  local c = load(key, kind, ARGV[a + 2], known)
  local cell = field .. '@' .. key
  local held = out(cell)
  if c and held then
    if lost and kind ~= 'c' then
      seed(c, known)
    elseif kind ~= 's' or tonumber(field) >= c.now - 20 then
      if less(held, stated) then
        change(c, field, minus(stated, held))
      else
        change(c, field, minus(held, stated), true)
      end
    end
    if field ~= '-' then hold(cell, stated) end
  end
end
commit()
-- Whoever is still telling keeps the others waiting, ten seconds at most.
local e = redis.call('HMGET', EPOCH, 'at', 'open')
local at, open = tonumber(e[1]), tonumber(e[2])
if at and open and now < open then
  open = math.max(open, math.min(at + 10000000, now + 300000))
  redis.call('HSET', EPOCH, 'open', string.format('%d', open))
end
return {'told'}
