/** Jobs: their states, counts, items to begin with, and their end. */
import { LEASES_MAX } from '../../jobs/job-store.ts';

export const JOBS_LUA = `
local LEASES_MAX = ${LEASES_MAX}
local function insertItems(job, seq, client, from, count)
  local ttl, held, top, touched = call('PTTL', job), 0, tonumber(call('HGET', job, 'top')), {}
  for i = 0, count - 1 do
    local n, custom, model, body = tonumber(ARGV[from + 4 * i]), ARGV[from + 4 * i + 1], ARGV[from + 4 * i + 2], ARGV[from + 4 * i + 3]
    local queue = key('queue', seq, model)
    if call('SADD', key('models', seq), model) == 1 then call('XGROUP', 'CREATE', queue, 'runners', '0', 'MKSTREAM') end
    local entry = call('XADD', queue, call('HINCRBY', job, 'tick', 1) .. '-' .. n, 'z', #body)
    save(seq, n, { QUEUED, '', tonumber(seq) * LEASES_MAX, 0, 0, 0, entry, #body, model, custom, '', 0, '', '', '', '' })
    call('HSET', bucket('bodies', seq, n), n, body)
    touched[queue], touched[bucket('items', seq, n)], touched[bucket('bodies', seq, n)] = true, true, true
    held = held + #body + OVERHEAD
    top = math.max(top, n + 1)
  end
  touched[key('models', seq)] = true
  for name in pairs(touched) do expire(name, ttl) end
  call('HSET', job, 'top', top)
  call('HINCRBY', job, 'total', count)
  recharge(job, client, held)
end

-- ARGV: id, client, four limits, the runner or '', how many fields, how many items; then the fields, then the items.
function methods.createJob(id, client, bytesMax, clientBytesMax, openMax, clientOpenMax, runner, fields, items)
  -- Also at a limit: a repeated request returns the job it created.
  local job = key('job', id)
  if call('EXISTS', job) == 1 then return 'taken' end
  local lack = lacksRoom(client, bytesMax, clientBytesMax)
  if lack then return lack end
  if call('ZCARD', key('open')) >= tonumber(openMax) or call('ZCARD', key('open', client)) >= tonumber(clientOpenMax) then return 'too_many' end
  local seq = nextSeq()
  call('HSET', job, 'seq', seq, 'client', client, 'runner', runner, 'total', 0, 'succeeded', 0, 'failed', 0, 'held', 0, 'top', 0)
  local at = 11
  for i = 1, tonumber(fields) do
    call('HSET', job, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  local created, ends = unpack(call('HMGET', job, 'created', 'ends'))
  expire(job, tonumber(ends) - tonumber(created) + SLACK)
  for _, list in ipairs({ key('jobs', client), key('open'), key('open', client) }) do
    call('ZADD', list, seq, id)
    expire(list, KEPT)
  end
  if runner ~= '' then
    call('SADD', key('claims', runner), id)
    expire(key('claims', runner), KEPT)
  end
  if tonumber(items) > 0 then insertItems(job, seq, client, at, tonumber(items)) end
  return 'created'
end

local function heldBy(job, runner)
  local state, holder = unpack(call('HMGET', job, 'state', 'runner'))
  return (state == 'validating' or state == 'receiving') and holder == runner
end

function methods.addItems(id, runner, bytesMax, clientBytesMax, count)
  local job = key('job', id)
  if not heldBy(job, runner) then return 'lost' end
  local seq, client = unpack(call('HMGET', job, 'seq', 'client'))
  local lack = lacksRoom(client, bytesMax, clientBytesMax)
  if lack then return lack end
  insertItems(job, seq, client, 7, tonumber(count))
  return 'added'
end

-- All at once: deletion is the server's background work.
function methods.clearItems(id, runner)
  local job = key('job', id)
  if not heldBy(job, runner) then return 0 end
  local seq, client, held, total = unpack(call('HMGET', job, 'seq', 'client', 'held', 'total'))
  for b = 0, buckets(job) - 1 do call('UNLINK', key('items', seq, b), key('bodies', seq, b)) end
  dropQueues(seq)
  call('UNLINK', key('models', seq))
  charge(client, -tonumber(held), -tonumber(held))
  call('HSET', job, 'total', 0, 'succeeded', 0, 'failed', 0, 'held', 0, 'top', 0)
  return tonumber(total)
end

local function close(job, id)
  call('ZREM', key('open'), id)
  call('ZREM', key('open', call('HGET', job, 'client')), id)
end

-- ARGV: id, states, what to set (state, ending, keepUntil; '': not), whether it is final, the runner that has to hold it or '', how many fields and files; then these.
function methods.changeJob(id, from, state, ending, keep, isFinal, heldBy, fields, files)
  local job = key('job', id)
  local before, seq, client, holder = unpack(call('HMGET', job, 'state', 'seq', 'client', 'runner'))
  if heldBy ~= '' and holder ~= heldBy then return false end
  if not before or not string.find(' ' .. from .. ' ', ' ' .. before .. ' ', 1, true) then return false end
  if state ~= '' and state ~= 'cancelling' then call('HSET', job, 'runner', '') end
  if state ~= '' then call('HSET', job, 'state', state) end
  if ending ~= '' then call('HSET', job, 'ending', ending == 'none' and '' or ending) end
  local at = 11
  for i = 1, tonumber(fields) do
    call('HSET', job, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  if keep ~= '' then
    call('ZADD', key('keep'), keep, id)
    expire(key('keep'), KEPT)
  end
  local now = call('HGETALL', job)
  if isFinal == '1' then
    close(job, id)
    dropQueues(seq)
    local ttl = call('PTTL', job)
    if keep ~= '' then ttl = tonumber(keep) - tonumber(call('HGET', job, 'created')) + SLACK end
    for _, name in ipairs({ job, key('ok', seq), key('bad', seq), key('models', seq), key('events', seq) }) do expire(name, ttl) end
    for b = 0, buckets(job) - 1 do
      for _, kind in ipairs({ 'items', 'bodies', 'results' }) do expire(key(kind, seq, b), ttl) end
    end
    -- Nothing shows items of a job that was never begun.
    if before == 'validating' then
      local held = tonumber(call('HGET', job, 'held'))
      charge(client, 0, -held)
      discard('j', seq, buckets(job), held, client)
      call('HSET', job, 'total', 0, 'held', 0)
    end
  end
  for i = 1, tonumber(files) do
    local file, owner, created, expires = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local name = key('file', file)
    if call('EXISTS', name) == 0 then
      local number = nextSeq()
      call('HSET', name, 'seq', number, 'client', owner, 'created', created, 'expires', expires, 'purpose', ARGV[at + 4],
        'filename', ARGV[at + 5], 'bytes', ARGV[at + 6], 'succeeded', ARGV[at + 7], 'job', id, 'complete', 1, 'held', 0, 'pieces', 0)
      expire(name, tonumber(expires) - tonumber(created) + SLACK)
      call('ZADD', key('file-expiry'), expires, file)
      expire(key('file-expiry'), KEPT)
      call('ZADD', key('files', owner), number, file)
      expire(key('files', owner), KEPT)
      call('SADD', key('files-of', seq), file)
      expire(key('files-of', seq), KEPT)
    end
    at = at + 8
  end
  if state == 'in_progress' or state == 'cancelling' or ending ~= '' then announce() end
  return now
end

-- The job can't be found from now on; the rest is swept up.
local function removeJob(id)
  local job = key('job', id)
  local seq, client, held = unpack(call('HMGET', job, 'seq', 'client', 'held'))
  call('ZREM', key('keep'), id)
  if not seq then return end
  for _, file in ipairs(call('SMEMBERS', key('files-of', seq))) do
    call('UNLINK', key('file', file))
    call('ZREM', key('file-expiry'), file)
    call('ZREM', key('files', client), file)
  end
  call('UNLINK', key('files-of', seq))
  close(job, id)
  call('ZREM', key('jobs', client), id)
  charge(client, 0, -tonumber(held))
  discard('j', seq, buckets(job), held, client)
  call('UNLINK', job)
end

function methods.deleteJob(client, id, from)
  local owner, state = unpack(call('HMGET', key('job', id), 'client', 'state'))
  if owner ~= client or not string.find(' ' .. from .. ' ', ' ' .. state .. ' ', 1, true) then return 0 end
  removeJob(id)
  return 1
end

function methods.claimJob(id, runner)
  local job = key('job', id)
  local holder = call('HGET', job, 'runner')
  if not holder or (holder ~= '' and holder ~= runner) then return 0 end
  call('HSET', job, 'runner', runner)
  call('SADD', key('claims', runner), id)
  expire(key('claims', runner), KEPT)
  return 1
end

-- Deletes what has expired. Whether there is something to sweep up, and the jobs that are not final with their models.
function methods.look(now)
  for _, id in ipairs(call('ZRANGEBYSCORE', key('keep'), '-inf', now, 'LIMIT', 0, 100)) do removeJob(id) end
  for _, id in ipairs(call('ZRANGEBYSCORE', key('file-expiry'), '-inf', now, 'LIMIT', 0, 100)) do removeFile(id) end
  local found = {}
  for _, id in ipairs(call('ZRANGE', key('open'), 0, -1)) do
    local fields = call('HGETALL', key('job', id))
    if #fields == 0 then call('ZREM', key('open'), id)
    else found[#found + 1] = { id, fields, call('SMEMBERS', key('models', call('HGET', key('job', id), 'seq'))) } end
  end
  -- What was lost by a time to live was not accounted for.
  if #found == 0 and call('EXISTS', key('keep'), key('file-expiry'), key('garbage')) == 0 then call('DEL', key('bytes')) end
  return { call('EXISTS', key('garbage')), found }
end

-- Deletes a slice of what nothing refers to any more. 1: there may be more.
function methods.sweep()
  local field = call('HRANDFIELD', key('garbage'))
  if not field then return 0 end
  local kind, seq = string.match(field, '^(.):(%d+)$')
  local left, held, client = string.match(call('HGET', key('garbage'), field), '^(%d+) (%-?%d+) (.*)$')
  left = tonumber(left)
  local down = math.max(0, left - 20)
  for i = down, left - 1 do
    if kind == 'f' then call('UNLINK', key('piece', seq, i))
    else call('UNLINK', key('items', seq, i), key('bodies', seq, i), key('results', seq, i)) end
  end
  if down > 0 then
    call('HSET', key('garbage'), field, down .. ' ' .. held .. ' ' .. client)
    return 1
  end
  if kind == 'j' then
    dropQueues(seq)
    call('UNLINK', key('models', seq), key('ok', seq), key('bad', seq), key('events', seq))
  end
  charge(client, -tonumber(held), 0)
  call('HDEL', key('garbage'), field)
  return 1
end
`;
