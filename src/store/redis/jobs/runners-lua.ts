/** Runners: their heartbeats, and the release of what a dead runner holds. */
import { REPEATS_MAX, type ItemError } from '../../jobs/job-store.ts';

const INTERRUPTED: ItemError = {
  code: 'interrupted',
  message: `the gateway stopped ${REPEATS_MAX + 1} times while this request was running; it is not sent again`,
};

export const RUNNERS_LUA = `
function interrupt(job, seq, n, item)
  item[ERROR] = ${JSON.stringify(JSON.stringify(INTERRUPTED))}
  finishItem(job, seq, n, item, 0, nil)
end

-- It may have been sent: it is queued again, marked, unless that was too often.
function repeatItem(id, seq, n, item, now)
  if item[REPEATED] >= REPEATS_MAX then return interrupt(key('job', id), seq, n, item) end
  item[REPEATED] = item[REPEATED] + 1
  leave(seq, item)
  save(seq, n, item)
  delay(seq, n, item, now)
end

local function instant(now)
  if now ~= '' then return tonumber(now) end
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function sign(runner, machine, pid, started, now)
  call('HSET', key('runner', runner), 'machine', machine, 'pid', pid, 'started', started)
  expire(key('runner', runner), KEPT)
  call('ZADD', key('live'), now, runner)
  expire(key('live'), KEPT)
end

function methods.register(machine, pid, started, now)
  local number = call('HINCRBY', key('numbers'), 'runner', 1)
  -- After a loss of all data no number is given a second time.
  if number == 1 then number = call('HINCRBY', key('numbers'), 'runner', string.format('%.0f', instant(''))) end
  expire(key('numbers'), KEPT)
  sign(string.format('%.0f', number), machine, pid, started, instant(now))
  return string.format('%.0f', number)
end

-- The other runners: number, machine, process id, start time, last heartbeat, and whether it has been silent for too long; then the result
-- of look.
function methods.beat(runner, machine, pid, started, now, silence, lookNow)
  local at = instant(now)
  local newest = call('ZREVRANGE', key('live'), 0, 0, 'WITHSCORES')
  -- After a time in which no runner could reach the store, each has its whole silence again.
  if now == '' and newest[2] and at - tonumber(newest[2]) > tonumber(silence) / 2 then
    for _, name in ipairs(call('ZRANGE', key('live'), 0, -1)) do call('ZADD', key('live'), at, name) end
  end
  sign(runner, machine, pid, started, at)
  local others = {}
  for _, name in ipairs(call('ZRANGE', key('live'), 0, -1)) do
    if name ~= runner then
      local seen = call('ZSCORE', key('live'), name)
      local where, process, begun = unpack(call('HMGET', key('runner', name), 'machine', 'pid', 'started'))
      local isSilent = tonumber(seen) < at - tonumber(silence)
      others[#others + 1] = { name, where or '', process or '', begun or '', seen, isSilent and 1 or 0 }
    end
  end
  return { others, methods.look(lookNow) }
end

-- Releases what a runner holds, unless it has sent a heartbeat since. Items that were sent are marked, and queued behind those that were
-- not. 1: there is more to release.
function methods.release(runner, seen, now)
  if seen ~= '' and call('ZSCORE', key('live'), runner) ~= seen then return 0 end
  local left = SLICE
  for _, lane in ipairs(call('SMEMBERS', key('lanes', runner))) do
    local id, seq, model = string.match(lane, '^(%S+) (%d+) (.*)$')
    local queue = key('queue', seq, model)
    if call('EXISTS', queue) == 1 then
      local pending = call('XPENDING', queue, 'runners', '-', '+', left, runner)
      for _, each in ipairs(pending) do
        local n = itemOf(each[1])
        local item = load(seq, n)
        left = left - 1
        if not item then call('XACK', queue, 'runners', each[1])
        elseif item[STATE] == LEASED then free(seq, n, item)
        else repeatItem(id, seq, n, item, now) end
      end
      if left <= 0 then return 1 end
      call('XGROUP', 'DELCONSUMER', queue, 'runners', runner)
    end
    call('SREM', key('lanes', runner), lane)
  end
  if releaseTaken(runner, now) then return 1 end
  for _, id in ipairs(call('SMEMBERS', key('claims', runner))) do
    if call('HGET', key('job', id), 'runner') == runner then call('HSET', key('job', id), 'runner', '') end
  end
  call('UNLINK', key('claims', runner), key('lanes', runner), key('taken', runner), key('runner', runner))
  call('ZREM', key('live'), runner)
  return 0
end
`;
