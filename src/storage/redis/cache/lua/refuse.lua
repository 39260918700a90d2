-- What was got cannot be read: it goes, unless it was replaced meanwhile. ARGV: … the id, the number it was kept under.
local e = redis.pcall('HMGET', BEGIN .. 'e:' .. ARGV[3], 'n', 'x')
if not e.err and e[1] == ARGV[4] then drop(ARGV[3], e[2] or '') end
return {'gone'}
