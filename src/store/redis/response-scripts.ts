/**
 * Cached responses in Redis: one hash each (bytes, expiry by the callers' clock), a sorted set of keys by age and a hash of sizes, so that
 * the oldest are deleted at a limit in number or size.
 */
import { redisScript } from './redis-client.ts';

/** How long the sets outlive the last response, in milliseconds: 30 days. */
const KEPT_MS = 2_592_000_000;

/** KEYS: order, sizes, totals, then responses. ARGV: rowsMax, bytesMax, now, key prefix; then key, expiry and bytes of each response. */
export const PUT_RESPONSES_SCRIPT = redisScript(`
local order, sizes, totals = KEYS[1], KEYS[2], KEYS[3]
local rowsMax, bytesMax, now, prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local function forget(key)
  local size = redis.call('HGET', sizes, key)
  if size then
    redis.call('HINCRBY', totals, 'bytes', -tonumber(size))
    redis.call('HDEL', sizes, key)
  end
  redis.call('ZREM', order, key)
end
-- The first write: of a script a full server refuses only this one, and only if it may add data.
redis.call('HINCRBY', totals, 'bytes', 0)
local a = 5
for k = 4, #KEYS do
  local key, expires, bytes = ARGV[a], ARGV[a + 1], ARGV[a + 2]
  a = a + 3
  forget(key)
  redis.call('DEL', KEYS[k])
  redis.call('HSET', KEYS[k], 'b', bytes, 'x', expires)
  redis.call('PEXPIRE', KEYS[k], string.format('%.0f', math.max(1, tonumber(expires) - now)))
  redis.call('HSET', sizes, key, #bytes)
  redis.call('HINCRBY', totals, 'bytes', #bytes)
  redis.call('ZADD', order, redis.call('HINCRBY', totals, 'next', 1), key)
end
local rows, held = redis.call('ZCARD', order), tonumber(redis.call('HGET', totals, 'bytes') or '0')
while rows > 0 and (rows > rowsMax or held > bytesMax) do
  local oldest = redis.call('ZRANGE', order, 0, 0)[1]
  forget(oldest)
  redis.call('DEL', prefix .. oldest)
  rows, held = rows - 1, tonumber(redis.call('HGET', totals, 'bytes') or '0')
end
for k = 1, 3 do redis.call('PEXPIRE', KEYS[k], ${KEPT_MS}) end
return rows
`);
