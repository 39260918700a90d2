-- ARGV: an id for a new epoch, names' beginning, the server's run id.
local id, n = state[1], tonumber(state[2] or '') or 0
if not id or (ARGV[3] ~= '' and state[4] ~= ARGV[3]) then
  -- Missing, or of a server process before this one, which may have forgotten its last moments, or come from a snapshot or a
  -- replica that lagged: what was deleted may be back, so nothing of before is shown (`floor`). Microseconds as numbers: greater
  -- than any that a forgotten state had counted up to.
  id, n = ARGV[1], math.max(n + 1, now * 1000)
  redis.call('UNLINK', LOG, MARKS, ENDS)
  redis.call('HSET', STATE, 'id', id, 'run', ARGV[3], 'n', whole(n), 'floor', whole(n))
end
redis.call('PEXPIRE', STATE, WEEK * 4)
local first = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)
return {'hello', id, whole(n), first[1] and first[1][1] or ''}
