/** The events of streamed jobs: one Redis stream per job, with consecutive event numbers. */
export const EVENTS_LUA = `
local function holder(id, n, lease)
  local item, seq = held(id, n, lease, LEASED, SENT)
  local state = item and call('HGET', key('job', id), 'state')
  if not item or state == 'completed' or state == 'failed' or state == 'expired' or state == 'cancelled' then return nil end
  return seq
end

-- An entry's id is the number behind its last event, so that none is given twice, whatever was deleted.
local function eventsEnd(stream)
  if call('EXISTS', stream) == 0 then return 0 end
  local info = call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^(%d+)')) end end
end

local function addEvents(id, stream, last, first, bytes)
  call('XADD', stream, last .. '-1', 'f', first, 'b', bytes)
  expire(stream, call('PTTL', key('job', id)))
end

function methods.restartEvents(id, n, lease)
  local seq = holder(id, n, lease)
  if not seq then return false end
  local stream, job = key('events', seq), key('job', id)
  local last = eventsEnd(stream)
  if last > 0 then
    call('XTRIM', stream, 'MAXLEN', 0)
    recharge(job, call('HGET', job, 'client'), -tonumber(call('HGET', job, 'events') or '0'))
    call('HSET', job, 'events', 0)
  end
  return last
end

function methods.appendEvents(id, n, lease, first, count, bytes)
  local seq = holder(id, n, lease)
  if not seq then return 0 end
  local stream, job = key('events', seq), key('job', id)
  local last = tonumber(first) + tonumber(count)
  -- Saved before: its reply was lost.
  if eventsEnd(stream) >= last then return 1 end
  addEvents(id, stream, last, first, bytes)
  call('HINCRBY', job, 'events', #bytes)
  recharge(job, call('HGET', job, 'client'), #bytes)
  return 1
end

-- The number behind the last event, then three values for each group.
function methods.readEvents(id, after, bytesMax)
  local seq = call('HGET', key('job', id), 'seq')
  local stream = seq and key('events', seq)
  if not seq or call('EXISTS', stream) == 0 then return { 0 } end
  local found, bytes, from = { eventsEnd(stream) }, 0, tonumber(after) + 2
  while true do
    local entries = call('XRANGE', stream, from, '+', 'COUNT', 16)
    for _, entry in ipairs(entries) do
      local last, first, text = tonumber(string.match(entry[1], '^(%d+)')), tonumber(entry[2][2]), entry[2][4]
      bytes = bytes + #text
      if #found > 1 and (bytes > tonumber(bytesMax) or #found > 3 * SLICE) then return found end
      found[#found + 1], found[#found + 2], found[#found + 3] = first, last - first, text
      from = last + 1
    end
    if #entries < 16 then return found end
  end
end
`;
