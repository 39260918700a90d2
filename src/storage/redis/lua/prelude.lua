-- What every script begins with: Redis' clock, whole numbers beyond 2^53, the gate, reading and writing a count.
-- Every script reads and checks everything before it writes anything: one that finds rubbish has changed nothing.
local EPOCH, ALIVE, META, OUT = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local BILLION = 1000000000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

-- Numbers of Lua are doubles, exact to 9*10^15 only: amounts are pairs {billions, rest}.
local ZERO = {0, 0}
local function read(s)
  if not s then return ZERO end
  if type(s) ~= 'string' or #s == 0 or #s > 19 or string.find(s, '%D') then return nil end
  if #s <= 9 then return {0, tonumber(s)} end
  return {tonumber(string.sub(s, 1, -10)), tonumber(string.sub(s, -9))}
end
local function text(n)
  if n[1] == 0 then return string.format('%d', n[2]) end
  return string.format('%d%09d', n[1], n[2])
end
local function less(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end
local function lesser(a, b) if less(b, a) then return b end return a end
local function plus(a, b)
  local h, l = a[1] + b[1], a[2] + b[2]
  if l >= BILLION then h, l = h + 1, l - BILLION end
  if h >= 9223372036 then return {9223372036, 0} end
  return {h, l}
end
local function minus(a, b)
  if less(a, b) then return ZERO end
  local h, l = a[1] - b[1], a[2] - b[2]
  if l < 0 then h, l = h - 1, l + BILLION end
  return {h, l}
end
local function hundredth(n)
  local h = math.floor(n[1] / 100)
  return {h, math.floor(((n[1] - h * 100) * BILLION + n[2]) / 100)}
end
local function zero(n) return n[1] == 0 and n[2] == 0 end

-- Nothing when the caller may go on, else why not. ARGV: epoch, generation.
local function gate(open)
  local e = redis.pcall('HMGET', EPOCH, 'id', 'open')
  if e.err then return 'rubbish' end
  if e[1] ~= ARGV[1] then return 'lost' end
  local g = redis.pcall('HGET', META, 'gen')
  if type(g) == 'table' then return 'rubbish' end
  if g ~= ARGV[2] then return 'stale' end
  if open then
    local from = tonumber(e[2])
    if not from then return 'rubbish' end
    if now < from then return 'seeding' end
  end
end

-- Counts as read, by key; false: rubbish.
local counts = {}
local function sliding(key, width)
  local all = redis.pcall('HGETALL', key)
  if all.err then return false end
  local c = {kind = 's', width = width, now = math.floor(now / width), slots = {}, used = ZERO, stale = {}, dirty = {}, more = {}}
  for i = 1, #all, 2 do
    local name = all[i]
    if #name < 16 and not string.find(name, '%D') then
      if tonumber(name) >= c.now - 20 then
        local n = read(all[i + 1])
        if not n then return false end
        c.slots[name] = n
        c.used = plus(c.used, n)
      else
        c.stale[#c.stale + 1] = name
      end
    else
      c.more[name] = all[i + 1]
    end
  end
  return c
end
local function whole(key, kind, time, known)
  local v = redis.pcall('HMGET', key, 'u', 'e', 'seed')
  if v.err then return false end
  local c = {kind = kind, time = time, used = read(v[1]), seed = read(v[3])}
  if not c.used or not c.seed then return false end
  if v[2] ~= ARGV[1] then
    -- Nobody has used it in this epoch: windows begin with the most that anybody knows, what is under way with nothing.
    c.fresh = true
    if kind == 'w' then
      if less(c.used, known) then c.used = known end
      c.seed = c.used
    else
      c.used = ZERO
    end
  end
  return c
end
local function load(key, kind, time, known)
  local c = counts[key]
  if c == nil then
    if kind == 's' then c = sliding(key, tonumber(time)) else c = whole(key, kind, time, known) end
    counts[key] = c
  end
  return c
end
local function change(c, field, by, down)
  if c.kind == 's' then
    local slot = c.slots[field] or ZERO
    if down then by = lesser(by, slot) end
    c.slots[field] = down and minus(slot, by) or plus(slot, by)
    c.dirty[field] = true
  end
  c.used = down and minus(c.used, by) or plus(c.used, by)
  c.changed = true
end
local function save(key, c)
  if c.kind == 's' then
    for field in pairs(c.dirty) do
      if zero(c.slots[field]) then redis.call('HDEL', key, field) else redis.call('HSET', key, field, text(c.slots[field])) end
    end
    if c.seeded then redis.call('HSET', key, 'e', ARGV[1], 'seed', text(c.seed), 'at', c.at) end
    if #c.stale > 0 then redis.call('HDEL', key, unpack(c.stale, 1, math.min(#c.stale, 1000))) end
    redis.call('PEXPIRE', key, string.format('%d', math.ceil(c.width * 22 / 1000) + 1000))
  elseif c.kind == 'w' then
    if c.fresh then
      redis.call('HSET', key, 'u', text(c.used), 'e', ARGV[1], 'seed', text(c.seed))
      if c.time ~= '0' then redis.call('EXPIREAT', key, c.time) end
    else
      redis.call('HSET', key, 'u', text(c.used), 'seed', text(c.seed))
    end
  elseif zero(c.used) then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'u', text(c.used), 'e', ARGV[1])
  end
end
-- Somebody knows of more than is here: that is kept whatever becomes of the rest, for he says it once only.
local function raise(key, c, known)
  if c.kind == 'c' or zero(known) then return end
  local fresh = c.fresh
  if less(c.used, known) then
    change(c, c.kind == 's' and string.format('%d', c.now) or 'u', minus(known, c.used))
  elseif not fresh then
    return
  end
  save(key, c)
  c.fresh, c.changed, c.dirty = false, false, {}
end

-- What is out with this instance, by cell: `field@key`; false: rubbish.
local outs, moved = {}, {}
local function out(cell)
  local n = outs[cell]
  if n == nil then
    local v = redis.pcall('HGET', OUT, cell)
    if type(v) == 'table' then n = false else n = read(v) or false end
    outs[cell] = n
  end
  return n
end
local function hold(cell, n) outs[cell] = n; moved[cell] = true end
local function commit()
  for key, c in pairs(counts) do
    if c and c.changed then save(key, c) end
  end
  for cell in pairs(moved) do
    if zero(outs[cell]) then redis.call('HDEL', OUT, cell) else redis.call('HSET', OUT, cell, text(outs[cell])) end
  end
end

-- Answers may overtake one another on their way: the one with the greatest number is the newest.
local function order()
  local n = redis.pcall('HINCRBY', EPOCH, 'n', 1)
  return type(n) == 'number' and string.format('%d', n) or '0'
end
