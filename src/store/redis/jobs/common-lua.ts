/**
 * What the scripts of jobs and files have in common. All keys have one hash tag (`KEYS[1]` is their prefix), so that a script is atomic on
 * a cluster too. `ARGV[1]` is the method and the fleet's channel; the arguments follow.
 *
 * `job:ID` and `file:ID` are records; what belongs to one is named by its number `seq`, so that an id can be used again while the rest of
 * an earlier record is still being deleted. Items are packed arrays in hashes of 128 (`items:SEQ:B`), their requests and results in two
 * more (`bodies:SEQ:B`, `results:SEQ:B`).
 *
 * The items of a job and model are handed out by a stream with a consumer group (`queue:SEQ:MODEL`): a runner is a consumer, what it holds
 * is its pending list. An entry's id is `TICK-N`, where N is the item. Entries that a runner gives up unsent are claimed for the consumer
 * `free`, and handed out first. Items that wait for an instant are in `later:SEQ:MODEL`.
 *
 * Every key has a time to live beyond the one that its record has by the gateways' clocks.
 */

/** After the instant at which a record ends, in milliseconds: 30 days. Gateways delete it sooner, and account for it. */
const SLACK_MS = 2_592_000_000;
/** What has no instant of its own, after its last change: 400 days. */
const KEPT_MS = 34_560_000_000;

export const COMMON_LUA = `
local P = KEYS[1]
local method, channel = string.match(ARGV[1], '^(%S+) (%S+)$')
local call = redis.call
local SLACK, KEPT = ${SLACK_MS}, ${KEPT_MS}
local BUCKET = 128
-- What an item takes beside its request or result, in bytes.
local OVERHEAD = 512
local STATE, RUNNER, LEASE, ROUNDS, STRIKES, REPEATED, ENTRY, SIZE, MODEL, CUSTOM, NOTE, OK, STATUS, ERROR, FACTS, BATCH, CUT =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
local QUEUED, LEASED, SENT, DONE, HANDED = 0, 1, 2, 3, 4
local releaseTaken, repeatItem, interrupt
local methods = {}

local function key(...) return P .. ':' .. table.concat({ ... }, ':') end
local function expire(name, ms) call('PEXPIRE', name, string.format('%.0f', math.min(math.max(ms, 1), KEPT))) end

local function nextSeq()
  local seq = call('HINCRBY', key('numbers'), 'seq', 1)
  expire(key('numbers'), KEPT)
  return seq
end

-- So many bytes more are kept in all, and for this client. Adding 0 makes -0 a number that the server reads.
local function charge(client, all, own)
  call('HINCRBY', key('bytes'), 'all', all + 0)
  call('HINCRBY', key('bytes'), 'c:' .. client, own + 0)
  expire(key('bytes'), KEPT)
end

-- Which limit is reached; nil: none.
local function lacksRoom(client, bytesMax, clientBytesMax)
  local all = tonumber(call('HGET', key('bytes'), 'all') or '0')
  if all > tonumber(bytesMax) then return 'all' end
  if all > tonumber(clientBytesMax) and tonumber(call('HGET', key('bytes'), 'c:' .. client) or '0') > tonumber(clientBytesMax) then
    return 'client'
  end
end

local function bucket(kind, seq, n) return key(kind, seq, math.floor(n / BUCKET)) end

local function load(seq, n)
  local packed = call('HGET', bucket('items', seq, n), n)
  return packed and cmsgpack.unpack(packed) or nil
end

local function save(seq, n, item) call('HSET', bucket('items', seq, n), n, cmsgpack.pack(item)) end

-- How often it may have been sent again. Items of earlier versions have no mark for a cut call.
local function repeats(item) return math.max(item[REPEATED], item[CUT] or 0) end

local function itemOf(entry) return tonumber(string.match(entry, '%-(%d+)$')) end

-- What belongs to a record is deleted in slices by sweep: 'f' pieces of a file, 'j' everything below a job.
local function discard(kind, seq, count, held, client)
  call('HSETNX', key('garbage'), kind .. ':' .. seq, count .. ' ' .. held .. ' ' .. client)
  expire(key('garbage'), KEPT)
end

local function buckets(job) return math.ceil(tonumber(call('HGET', job, 'top') or '0') / BUCKET) end

local function recharge(job, client, bytes)
  call('HINCRBY', job, 'held', bytes + 0)
  charge(client, bytes, bytes)
end

-- What is queued, held and delayed goes; requests and results stay.
local function dropQueues(seq)
  for _, model in ipairs(call('SMEMBERS', key('models', seq))) do
    call('UNLINK', key('queue', seq, model), key('later', seq, model))
  end
  for _, batch in ipairs(call('SMEMBERS', key('batches', seq))) do call('UNLINK', key('handed', seq, batch)) end
  call('UNLINK', key('batches', seq))
end

-- The item has its result: status, facts and error are set by the caller.
local function finishItem(job, seq, n, item, succeeded, body)
  local queue = key('queue', seq, item[MODEL])
  if item[ENTRY] ~= '' then
    call('XACK', queue, 'runners', item[ENTRY])
    call('XDEL', queue, item[ENTRY])
  else
    call('ZREM', key('later', seq, item[MODEL]), n)
  end
  local size = body and #body or 0
  recharge(job, call('HGET', job, 'client'), size + #item[FACTS] - item[SIZE])
  item[STATE], item[RUNNER], item[ENTRY], item[SIZE], item[OK] = DONE, '', '', size, succeeded
  save(seq, n, item)
  call('HDEL', bucket('bodies', seq, n), n)
  local ttl = call('PTTL', job)
  if body then
    call('HSET', bucket('results', seq, n), n, body)
    expire(bucket('results', seq, n), ttl)
  end
  local index = key(succeeded == 1 and 'ok' or 'bad', seq)
  call('ZADD', index, n, n)
  expire(index, ttl)
  call('HINCRBY', job, succeeded == 1 and 'succeeded' or 'failed', 1)
end

-- Wakes the runners of all instances.
local function announce() redis.pcall('PUBLISH', channel, '\\njobs') end
`;

export const DISPATCH_LUA = `
return methods[method](unpack(ARGV, 2, 20))
`;
