/**
 * Small state in Redis: an entry is a hash of its JSON text (`v`) and its expiry by the callers' clock (`x`, empty for none). A sorted set
 * for each collection holds its keys by expiry. All keys share one hash tag, so that a batch is one atomic script on a cluster too.
 */
import { redisScript } from './redis-client.ts';

/** Lifetime of entries without expiry after their last write, in milliseconds: 400 days. */
const KEPT_MS = 34_560_000_000;
/** An expired entry is invisible by the callers' clock immediately, and deleted this much later, in milliseconds. */
const SLACK_MS = 3_600_000;
/** A process silent for longer does not repeat its last batch, in milliseconds: 7 days. */
const WRITER_KEPT_MS = 604_800_000;
/** Maximum number of entries in a collection; beyond it, or beyond its bytes, those that expire first are deleted. */
const ENTRIES_MAX = 200_000;

/** `index`: of the collection. Beside each index are the sizes of its entries and their sum. */
const CHANGES = `
local function forget(index, member)
  local size = redis.call('HGET', index .. '.sizes', member)
  if not size then return end
  redis.call('HDEL', index .. '.sizes', member)
  redis.call('DECRBY', index .. '.bytes', size)
end
local function remove(entry, index, member)
  redis.call('DEL', entry)
  redis.call('ZREM', index, member)
  forget(index, member)
end
local function put(entry, index, member, value, expires, now)
  redis.call('DEL', entry)
  forget(index, member)
  redis.call('HSET', entry, 'v', value, 'x', expires)
  local ttl = ${KEPT_MS}
  if expires ~= '' then ttl = math.max(0, tonumber(expires) - now) + ${SLACK_MS} end
  redis.call('PEXPIRE', entry, string.format('%.0f', math.min(ttl, ${KEPT_MS})))
  redis.call('ZADD', index, expires == '' and '+inf' or expires, member)
  local size = #value + #member
  redis.call('HSET', index .. '.sizes', member, size)
  redis.call('INCRBY', index .. '.bytes', size)
end
`;

/** A number for this process that is unique even if the server loses its data. */
export const OPEN_SCRIPT = redisScript(`
local time = redis.call('TIME')
local count = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ${KEPT_MS})
return time[1] .. '-' .. time[2] .. '-' .. count
`);

/**
 * KEYS: the writer, then entry and index of each change. ARGV: sequence, now, the bytes allowed in a collection; then for each change its
 * kind, key, expiry, number of values, and the values.
 */
export const APPLY_SCRIPT = redisScript(`${CHANGES}
local now, bytesMax = tonumber(ARGV[2]), tonumber(ARGV[3])
local applied = redis.call('GET', KEYS[1]) or '0'
if tonumber(applied) >= tonumber(ARGV[1]) then return 0 end
-- The first write: of a script a full server refuses only this one, and only if it may add data.
redis.call('SET', KEYS[1], applied, 'PX', ${WRITER_KEPT_MS})
local prefixes = {}
local a = 4
for k = 2, #KEYS, 2 do
  local entry, index = KEYS[k], KEYS[k + 1]
  local kind, member, expires, count = ARGV[a], ARGV[a + 1], ARGV[a + 2], tonumber(ARGV[a + 3])
  a = a + 4
  prefixes[index] = string.sub(entry, 1, #entry - #member)
  if kind == 'd' then remove(entry, index, member) else put(entry, index, member, ARGV[a], expires, now) end
  a = a + count
end
for index, prefix in pairs(prefixes) do
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', ARGV[2], 'LIMIT', 0, 1000)) do
    redis.call('ZREM', index, member)
    redis.call('DEL', prefix .. member)
    forget(index, member)
  end
  local held = tonumber(redis.call('GET', index .. '.bytes') or '0')
  for over = redis.call('ZCARD', index) - ${ENTRIES_MAX}, -math.huge, -1 do
    if over <= 0 and held <= bytesMax then break end
    local gone = redis.call('ZPOPMIN', index)[1]
    if not gone then break end
    redis.call('DEL', prefix .. gone)
    forget(index, gone)
    held = tonumber(redis.call('GET', index .. '.bytes') or '0')
  end
  for _, name in ipairs({ index, index .. '.sizes', index .. '.bytes' }) do redis.call('PEXPIRE', name, ${KEPT_MS}) end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ${WRITER_KEPT_MS})
return 1
`);

/** KEYS: the index, the new entry, then those to be replaced. ARGV: now, the new key, its expiry and value; then key and present value of each. */
export const REPLACE_SCRIPT = redisScript(`${CHANGES}
local index = KEYS[1]
for k = 3, #KEYS do
  if redis.call('HGET', KEYS[k], 'v') ~= ARGV[2 * k] then return 0 end
end
for k = 3, #KEYS do remove(KEYS[k], index, ARGV[2 * k - 1]) end
put(KEYS[2], index, ARGV[2], ARGV[4], ARGV[3], tonumber(ARGV[1]))
return 1
`);

/** KEYS: the writer, then entries. Returns the writer's last batch, then the fields of each entry. */
export const READ_SCRIPT = redisScript(`
local found = { redis.call('GET', KEYS[1]) or '0' }
for k = 2, #KEYS do found[k] = redis.call('HGETALL', KEYS[k]) end
return found
`);
