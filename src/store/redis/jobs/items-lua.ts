/** Items: handed out, marked as sent, completed, put back. */
import { REPEATS_MAX } from '../../jobs/job-store.ts';

/** Items that one script changes at most: the server does nothing else meanwhile. */
const SLICE = 500;

export const ITEMS_LUA = `
local SLICE, REPEATS_MAX = ${SLICE}, ${REPEATS_MAX}

-- The item, if this lease holds it in one of the states.
local function held(id, n, lease, from, to)
  local seq = call('HGET', key('job', id), 'seq')
  local item = seq and load(seq, tonumber(n))
  if not item or item[LEASE] ~= tonumber(lease) or item[STATE] < from or item[STATE] > to then return nil end
  return item, seq
end

local function leave(seq, item)
  local queue = key('queue', seq, item[MODEL])
  if item[ENTRY] ~= '' then
    call('XACK', queue, 'runners', item[ENTRY])
    call('XDEL', queue, item[ENTRY])
  end
  item[ENTRY], item[RUNNER], item[STATE] = '', '', QUEUED
end

-- One that was taken back from a batch is no longer this runner's.
local function untake(id, seq, n, item)
  if item[ENTRY] == '' then call('SREM', key('taken', item[RUNNER]), id .. ' ' .. seq .. ' ' .. n) end
end

local function delay(seq, n, item, at)
  local later = key('later', seq, item[MODEL])
  call('ZADD', later, at, n)
  expire(later, call('PTTL', bucket('items', seq, n)))
end

-- Gives up what was never sent: another runner claims it.
local function free(seq, n, item)
  call('XCLAIM', key('queue', seq, item[MODEL]), 'runners', 'free', 0, item[ENTRY], 'JUSTID')
  item[STATE], item[RUNNER] = QUEUED, ''
  save(seq, n, item)
end

local function lastDelivered(queue)
  local group = call('XINFO', 'GROUPS', queue)[1]
  for i = 1, #group, 2 do if group[i] == 'last-delivered-id' then return group[i + 1] end end
end

local function fresh(queue, count) return call('XRANGE', queue, '(' .. lastDelivered(queue), '+', 'COUNT', count) end

local function freed(queue, count)
  local entries = {}
  for _, pending in ipairs(call('XPENDING', queue, 'runners', '-', '+', count, 'free')) do
    local entry = call('XRANGE', queue, pending[1], pending[1])[1]
    if entry then entries[#entries + 1] = entry else call('XACK', queue, 'runners', pending[1]) end
  end
  return entries
end

local function promote(job, seq, model, now, count)
  local queue, later = key('queue', seq, model), key('later', seq, model)
  for _, n in ipairs(call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, count)) do
    call('ZREM', later, n)
    local item = load(seq, tonumber(n))
    if item and item[STATE] == QUEUED then
      item[ENTRY] = call('XADD', queue, call('HINCRBY', job, 'tick', 1) .. '-' .. n, 'z', item[SIZE])
      save(seq, tonumber(n), item)
    end
  end
end

-- Those of the runner that it does not have are handed out again.
local function recover(seq, queue, runner, known)
  local has = {}
  for _, n in ipairs(cjson.decode(known)) do has[n] = true end
  for _, pending in ipairs(call('XPENDING', queue, 'runners', '-', '+', 10000, runner)) do
    local n = itemOf(pending[1])
    local item = load(seq, n)
    if item and item[STATE] == LEASED and not has[n] then free(seq, n, item) end
  end
end

-- Returns whether more are due (1), the instant of the next one or '', and seven values for each item.
function methods.lease(runner, id, model, countMax, bytesMax, now, known)
  local job = key('job', id)
  local seq = call('HGET', job, 'seq')
  local queue = seq and key('queue', seq, model)
  if not seq or not call('ZSCORE', key('live'), runner) or call('EXISTS', queue) == 0 then return { 0, '' } end
  if known ~= '' then recover(seq, queue, runner, known) end
  countMax, bytesMax = tonumber(countMax), tonumber(bytesMax)
  promote(job, seq, model, now, countMax + 1)
  local entries, isFresh = freed(queue, countMax + 1), {}
  for _, entry in ipairs(fresh(queue, countMax + 1)) do
    entries[#entries + 1] = entry
    isFresh[entry[1]] = true
  end
  local reply, bytes, count, unread, hasMore = { 0, '' }, 0, 0, 0, false
  for _, entry in ipairs(entries) do
    bytes = bytes + tonumber(entry[2][2])
    if count >= countMax or (count > 0 and bytes > bytesMax) then
      hasMore = true
      break
    end
    count = count + 1
    if isFresh[entry[1]] then unread = unread + 1
    else call('XCLAIM', queue, 'runners', runner, 0, entry[1], 'JUSTID') end
  end
  if unread > 0 then call('XREADGROUP', 'GROUP', 'runners', runner, 'COUNT', unread, 'STREAMS', queue, '>') end
  for i = 1, count do
    local n = itemOf(entries[i][1])
    local item = load(seq, n)
    if item and item[STATE] == QUEUED then
      item[STATE], item[RUNNER], item[LEASE] = LEASED, runner, item[LEASE] + 1
      save(seq, n, item)
      local body = call('HGET', bucket('bodies', seq, n), n)
      for _, value in ipairs({ n, item[LEASE], item[CUSTOM], body, item[STRIKES], item[ROUNDS], repeats(item) }) do reply[#reply + 1] = value end
    else
      call('XACK', queue, 'runners', entries[i][1])
      call('XDEL', queue, entries[i][1])
    end
  end
  if count > 0 then
    call('SADD', key('lanes', runner), id .. ' ' .. seq .. ' ' .. model)
    expire(key('lanes', runner), KEPT)
  end
  if hasMore then reply[1] = 1
  else
    local next = call('ZRANGE', key('later', seq, model), 0, 0, 'WITHSCORES')
    reply[2] = next[2] or ''
  end
  return reply
end

function methods.markSent(id, n, lease)
  local item, seq = held(id, n, lease, LEASED, LEASED)
  if not item then return 0 end
  item[STATE], item[BATCH] = SENT, ''
  save(seq, tonumber(n), item)
  return 1
end

-- 2: it was the last one.
function methods.completeItem(id, n, lease, succeeded, status, facts, error, cost, hasBody, body)
  local item, seq = held(id, n, lease, LEASED, SENT)
  if not item then return 0 end
  item[STATUS], item[FACTS], item[ERROR] = status, facts, error
  local job = key('job', id)
  untake(id, seq, n, item)
  finishItem(job, seq, tonumber(n), item, tonumber(succeeded), hasBody == '1' and body or nil)
  if cost ~= '' then
    call('HINCRBYFLOAT', job, 'cost', cost)
    call('HINCRBY', job, 'priced', 1)
  end
  local total, done, failed = unpack(call('HMGET', job, 'total', 'succeeded', 'failed'))
  return tonumber(done) + tonumber(failed) >= tonumber(total) and 2 or 1
end

function methods.requeueItem(id, n, lease, notBefore, round, strike, cut, note, cost)
  local item, seq = held(id, n, lease, LEASED, SENT)
  if not item then return 0 end
  untake(id, seq, n, item)
  leave(seq, item)
  item[BATCH] = ''
  item[ROUNDS], item[STRIKES] = item[ROUNDS] + tonumber(round), item[STRIKES] + tonumber(strike)
  if cut == '1' then item[CUT] = 1 end
  if note ~= '' then item[NOTE] = note end
  if cost ~= '' then call('HINCRBYFLOAT', key('job', id), 'cost', cost) end
  save(seq, tonumber(n), item)
  delay(seq, tonumber(n), item, notBefore)
  return 1
end

-- Ends a slice of the items that are queued, of all models or one.
function methods.endQueued(id, code, message, only)
  local job = key('job', id)
  local seq = call('HGET', job, 'seq')
  if not seq then return 0 end
  local ended = 0
  local function finish(n)
    local item = load(seq, n)
    if not item or item[STATE] ~= QUEUED then return end
    local text = item[NOTE] == '' and message or message .. '; the last attempt: ' .. item[NOTE]
    item[ERROR] = cjson.encode({ code = code, message = text })
    finishItem(job, seq, n, item, 0, nil)
    ended = ended + 1
  end
  for _, model in ipairs(only and { only } or call('SMEMBERS', key('models', seq))) do
    local queue = key('queue', seq, model)
    if call('EXISTS', queue) == 1 then
      for _, entry in ipairs(freed(queue, SLICE)) do finish(itemOf(entry[1])) end
      for _, entry in ipairs(fresh(queue, SLICE)) do finish(itemOf(entry[1])) end
      for _, n in ipairs(call('ZRANGE', key('later', seq, model), 0, SLICE - 1)) do finish(tonumber(n)) end
    end
    if ended >= SLICE then break end
  end
  return ended
end

-- Done items in order, eight values each. wanted: '' both, '1' those that succeeded, '0' the others.
function methods.readResults(id, wanted, after, bytesMax)
  local seq = call('HGET', key('job', id), 'seq')
  local found, numbers, bytes = {}, {}, 0
  if not seq then return found end
  for _, index in ipairs({ wanted ~= '0' and 'ok' or false, wanted ~= '1' and 'bad' or false }) do
    if index then
      for _, n in ipairs(call('ZRANGEBYSCORE', key(index, seq), '(' .. after, '+inf', 'LIMIT', 0, 2 * SLICE)) do numbers[#numbers + 1] = tonumber(n) end
    end
  end
  table.sort(numbers)
  for i, n in ipairs(numbers) do
    if i > 2 * SLICE then break end
    local item = load(seq, n)
    if item then
      bytes = bytes + item[SIZE] + #item[FACTS]
      if #found > 0 and bytes > tonumber(bytesMax) then break end
      local body = call('HGET', bucket('results', seq, n), n)
      for _, value in ipairs({ n, item[CUSTOM], item[OK], repeats(item), item[STATUS], item[ERROR], item[FACTS] }) do found[#found + 1] = value end
      found[#found + 1] = body
    end
  end
  return found
end
`;
