if state[1] ~= ARGV[1] then return {'lost'} end
