/** Responses in flight in Redis: a claim is a key, the parts of a response that is followed are a stream. Both end by themselves. */
import type { Clock } from '../../core/clock.ts';
import type { FlightClaim, FlightPart, FlightStore, PlacedPart } from '../flight-store.ts';
import type { RedisAddress } from './address.ts';
import { LazyLink } from './lazy-link.ts';
import { redisScript, type RedisArgument } from './redis-client.ts';

/** A claim that was not given up, in milliseconds. */
const CLAIM_MS = 3_600_000;
/** A stream is kept for so long after its last part, in milliseconds. */
const PARTS_KEPT_MS = 30_000;
/** Requests wait less; the connection is lost after this, in milliseconds. */
const CLAIM_TIMEOUT_MS = 1_000;
const CALL_TIMEOUT_MS = 1_000;
/** Parts read in one call. */
const PARTS_MAX = 64;

/** KEYS: names. ARGV: the owner, one that is gone, the time to live, how the owners of this instance begin. */
const CLAIM_SCRIPT = redisScript(`
for i, name in ipairs(KEYS) do
  local owner = redis.call('GET', name)
  if owner and owner ~= ARGV[2] and string.sub(owner, 1, #ARGV[4]) ~= ARGV[4] then return { i, owner } end
  redis.call('SET', name, ARGV[1], 'PX', ARGV[3])
end
return false
`);

/** KEYS: names. ARGV: an owner for each. */
const RELEASE_SCRIPT = redisScript(`
for i, name in ipairs(KEYS) do
  if redis.call('GET', name) == ARGV[i] then redis.call('DEL', name) end
end
return 1
`);

/** KEYS: the stream. ARGV: the time to live, then kind, meta and bytes of each part. */
const APPEND_SCRIPT = redisScript(`
for a = 2, #ARGV, 3 do redis.call('XADD', KEYS[1], '*', 'k', ARGV[a], 'm', ARGV[a + 1], 'b', ARGV[a + 2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`);

export function createRedisFlights(address: RedisAddress, clock: Clock): FlightStore {
  const link = new LazyLink(address, clock);
  const claimKey = (name: string): string => `{${address.namespace}:flights}:${name}`;
  const streamKey = (id: string): string => `{${address.namespace}:flight:${id}}`;
  const read = async (call: readonly [string, ...RedisArgument[]]): Promise<PlacedPart[]> =>
    ((await link.use('reading a response', CALL_TIMEOUT_MS, (client) => client.callBuffer(...call))) as Entry[]).map(toPart);
  return {
    async claim({ names, owner, instead, member }: FlightClaim) {
      const args = [owner, instead ?? '', CLAIM_MS, `${member}.`];
      const reply = await link.use('a claim', CLAIM_TIMEOUT_MS, (client) => client.run(CLAIM_SCRIPT, names.map(claimKey), args));
      if (reply === null) return null;
      const [at, other] = reply as [number, string];
      return { at: at - 1, owner: other };
    },
    async release(claims) {
      const keys = claims.map(([name]) => claimKey(name));
      const owners = claims.map(([, owner]) => owner);
      await link.use('giving up claims', CALL_TIMEOUT_MS, (client) => client.run(RELEASE_SCRIPT, keys, owners));
    },
    async append(id, parts) {
      const args: RedisArgument[] = [PARTS_KEPT_MS, ...parts.flatMap(toArguments)];
      await link.use('saving a response', CALL_TIMEOUT_MS, (client) => client.run(APPEND_SCRIPT, [streamKey(id)], args));
    },
    async clear(id) {
      // Unlike a deleted stream, a trimmed one continues with later places.
      await link.use('clearing a response', CALL_TIMEOUT_MS, (client) => client.call('XTRIM', streamKey(id), 'MAXLEN', 0));
    },
    async last(id) {
      const [part = null] = await read(['XREVRANGE', streamKey(id), '+', '-', 'COUNT', 1]);
      return part;
    },
    read: (id, after) => read(['XRANGE', streamKey(id), after === '' ? '-' : `(${after}`, '+', 'COUNT', PARTS_MAX]),
    close: () => link.close(),
  };
}

type Entry = readonly [place: Buffer, fields: readonly Buffer[]];

function toArguments({ kind, meta, bytes }: FlightPart): RedisArgument[] {
  return [kind, meta, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)];
}

function toPart([place, fields]: Entry): PlacedPart {
  return { place: String(place), kind: String(fields[1]), meta: String(fields[3]), bytes: fields[5]! };
}
