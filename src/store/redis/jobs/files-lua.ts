/** Files: a record each, uploaded pieces as keys of their own. */
export const FILES_LUA = `
local function removeFile(id)
  local file = key('file', id)
  local seq, client, held, pieces, job = unpack(call('HMGET', file, 'seq', 'client', 'held', 'pieces', 'job'))
  call('ZREM', key('file-expiry'), id)
  if not seq then return end
  call('UNLINK', file)
  call('ZREM', key('files', client), id)
  if not job then
    charge(client, 0, -tonumber(held))
    discard('f', seq, pieces, held, client)
    return
  end
  -- The results are kept for as long as one file shows them.
  local owner = key('job', job)
  local of = call('HGET', owner, 'seq')
  if not of then return end
  call('SREM', key('files-of', of), id)
  if call('SCARD', key('files-of', of)) > 0 then return end
  local owned = tonumber(call('HGET', owner, 'held'))
  charge(call('HGET', owner, 'client'), 0, -owned)
  call('HSET', owner, 'held', 0)
  discard('j', of, buckets(owner), owned, call('HGET', owner, 'client'))
end

function methods.createFile(id, client, created, expires, bytesMax, clientBytesMax)
  local lack = lacksRoom(client, bytesMax, clientBytesMax)
  if lack then return lack end
  local file = key('file', id)
  if call('EXISTS', file) == 1 then return 'taken' end
  call('HSET', file, 'seq', nextSeq(), 'client', client, 'created', created, 'expires', expires, 'held', 0, 'pieces', 0, 'complete', 0)
  expire(file, tonumber(expires) - tonumber(created) + SLACK)
  call('ZADD', key('file-expiry'), expires, id)
  expire(key('file-expiry'), KEPT)
  return 'created'
end

function methods.appendFile(id, index, bytes, bytesMax, clientBytesMax)
  local file = key('file', id)
  local seq, client, complete, pieces = unpack(call('HMGET', file, 'seq', 'client', 'complete', 'pieces'))
  if complete ~= '0' then return 'gone' end
  local lack = lacksRoom(client, bytesMax, clientBytesMax)
  if lack then return lack end
  local piece = key('piece', seq, index)
  local more = #bytes - call('STRLEN', piece)
  call('SET', piece, bytes, 'PX', math.max(1, call('PTTL', file)))
  call('HSET', file, 'pieces', math.max(tonumber(pieces), tonumber(index) + 1))
  recharge(file, client, more)
  return 'written'
end

function methods.finishFile(id, purpose, filename, bytes, expires)
  local file = key('file', id)
  local seq, client, complete, pieces, created = unpack(call('HMGET', file, 'seq', 'client', 'complete', 'pieces', 'created'))
  if complete ~= '0' then return 0 end
  call('HSET', file, 'complete', 1, 'purpose', purpose, 'filename', filename, 'bytes', bytes, 'expires', expires)
  local ttl = tonumber(expires) - tonumber(created) + SLACK
  expire(file, ttl)
  for index = 0, tonumber(pieces) - 1 do expire(key('piece', seq, index), ttl) end
  call('ZADD', key('file-expiry'), expires, id)
  call('ZADD', key('files', client), seq, id)
  expire(key('files', client), KEPT)
  return 1
end

function methods.abandonFile(id)
  if call('HGET', key('file', id), 'complete') == '0' then removeFile(id) end
  return 1
end

function methods.deleteFile(client, id)
  local owner, complete = unpack(call('HMGET', key('file', id), 'client', 'complete'))
  if owner ~= client or complete ~= '1' then return 0 end
  removeFile(id)
  return 1
end

function methods.readFile(id, index)
  local seq = call('HGET', key('file', id), 'seq')
  return seq and call('GET', key('piece', seq, index)) or false
end

-- Records of a client by number, from one on, exclusive ('-inf', '+inf': from an end).
function methods.page(kind, client, from, ascending, count)
  local list = key(kind == 'file' and 'files' or 'jobs', client)
  local ids
  if ascending == '1' then ids = call('ZRANGEBYSCORE', list, '(' .. from, '+inf', 'LIMIT', 0, count)
  else ids = call('ZREVRANGEBYSCORE', list, '(' .. from, '-inf', 'LIMIT', 0, count) end
  local found = {}
  for _, id in ipairs(ids) do
    local fields = call('HGETALL', key(kind, id))
    if #fields == 0 then call('ZREM', list, id) end
    found[#found + 1] = { id, fields }
  end
  return found
end
`;
