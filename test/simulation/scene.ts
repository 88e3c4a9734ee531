/** The scene of a seed: a config, providers with their faults, and ten minutes of requests. */
import type { Random } from '../../src/core/random.ts';
import type { Priority } from '../../src/core/request.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { StoreFaults } from '../../src/testing/faulty-store.ts';
import type { ProviderLimits } from '../../src/testing/provider-limits.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { SIMULATED_DIALECTS } from '../../src/testing/dialects/names.ts';
import type { SimulatedFault, SimulatedFaultKind } from '../../src/testing/simulated-faults.ts';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import type { Load, LoadKind, Poison } from '../../src/testing/workload.ts';

export interface Scene {
  readonly seed: number;
  readonly config: ConfigInput;
  readonly providers: Readonly<Record<string, ProviderBehaviour>>;
  readonly load: Load;
  /** Requests that always fail, of one client or one conversation; null: none. */
  readonly poison: Load | null;
  /** Providers whose limits are not configured: they advertise them in headers, or not at all. */
  readonly unknown: ReadonlyMap<string, Unknown>;
  /** How often the end of one response makes another caller leave at that very instant, between a decision and its consequences. */
  readonly jostling: number;
  /** Null: a store without faults. */
  readonly storeFaults: Partial<StoreFaults> | null;
}

export type Unknown = 'advertised' | 'silent';

export const SCENE_MS = 600_000;
/** Every seed has at least a thousand requests; a Poisson count varies, so slightly more are planned. */
const REQUESTS_MIN = 1_120;

export const MIN_SHARE = { low: 0.05, normal: 0.2 } as const;

/** Random choices from one seed. */
class Dice {
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  hits(share: number): boolean {
    return this.random.next() < share;
  }

  between(min: number, max: number): number {
    return min + this.random.next() * (max - min);
  }

  whole(min: number, max: number): number {
    return Math.floor(this.between(min, max + 1));
  }

  one<T>(values: readonly T[]): T {
    return values[this.whole(0, values.length - 1)]!;
  }
}

/** From here on, providers and callers use different dialects. */
export const MIXED_SEEDS_FROM = 1_000_000;

export function sceneOf(seed: number): Scene {
  const scene = plainSceneOf(seed);
  return seed < MIXED_SEEDS_FROM ? scene : withDialects(scene, new Dice(createSeededRandom(seed + 0.7)));
}

/**
 * The same scene with a random protocol for each provider, and a random dialect for each kind of request. Every request has an output
 * limit, which all providers but Gemini's count at admission: a conversion to Anthropic's dialect adds one, which the gateway does not reserve.
 */
function withDialects(scene: Scene, dice: Dice): Scene {
  const protocols = ['openai', 'anthropic', 'gemini'] as const;
  const names = Object.keys(scene.config.providers ?? {});
  const first = dice.whole(0, 2);
  const providers = Object.entries(scene.config.providers ?? {}).map(([name, provider]) => {
    const protocol = protocols[(first + names.indexOf(name)) % 3]!;
    return [name, { ...provider, protocol }] as const;
  });
  const spoken = (load: Load): Load => ({
    ...load,
    kinds: load.kinds.map((kind) => ({ outputBound: SPOKEN_BOUND, ...kind, dialect: dice.one(SIMULATED_DIALECTS) })),
  });
  return {
    ...scene,
    config: { ...scene.config, providers: Object.fromEntries(providers) },
    providers: Object.fromEntries(
      providers.map(([name, { protocol }]) => [
        name,
        { ...scene.providers[name], ...(protocol === 'gemini' ? {} : { countsOutput: 'bound' as const }) },
      ]),
    ),
    load: spoken(scene.load),
    poison: scene.poison === null ? null : spoken(scene.poison),
  };
}

const SPOKEN_BOUND = { p50: 150, p95: 600 };

function plainSceneOf(seed: number): Scene {
  const dice = new Dice(createSeededRandom(seed));
  const names = ['a', 'b', 'c'].slice(0, dice.one([1, 2, 2, 2, 3, 3]));
  const loadFactor = dice.one([0.4, 0.8, 1, 1.3, 2, 3]);
  const requestsPerMinute = (REQUESTS_MIN / SCENE_MS) * 60_000 * dice.between(1, 1.3);
  const limits = names.map(() => limitsOf(dice, requestsPerMinute / names.length / loadFactor));
  const behaviours = names.map((_, i) => behaviourOf(dice, limits[i]!));
  const clients = dice.hits(0.7) ? CLIENTS : [];
  const unknown = unknownOf(seed, names);
  return {
    seed,
    unknown,
    config: {
      providers: Object.fromEntries(names.map((name, i) => [name, providerOf(name, unknown.has(name) ? null : limits[i]!)])),
      models: modelsOf(dice, names, unknown),
      clients: clients.length === 0 ? clients : [...clients, POISON_CLIENT],
      policy: { ...policyOf(dice), hedge: hedgeOf(new Dice(createSeededRandom(seed + 0.3))) },
    },
    providers: Object.fromEntries(names.map((name, i) => [name, tellingOf(behaviours[i]!, unknown.get(name))])),
    load: loadOf(dice, requestsPerMinute, clients.length > 0, Object.keys(modelsOf(dice, names, unknown))),
    poison: poisonOf(new Dice(createSeededRandom(seed + 0.6)), clients.length > 0),
    jostling: dice.one([0, 0, 0.05]),
    storeFaults: dice.hits(0.2) ? { delayMs: [0, 50], failureRatio: 0.05, lostReplyRatio: 0.05, freezeRatio: 0.01 } : null,
  };
}

const CLIENTS = [
  { name: 'web', key: 'k-web', priority: 'high' as Priority },
  { name: 'app', key: 'k-app', priority: 'normal' as Priority, maxPriority: 'high' as Priority },
  { name: 'desk', key: 'k-desk', priority: 'normal' as Priority },
  { name: 'night', key: 'k-night', priority: 'low' as Priority },
];

const POISON_CLIENT = { name: 'poison', key: 'k-poison', priority: 'normal' as Priority };

const POISONS: readonly Poison[] = [
  { kind: 'server_error' },
  { kind: 'overloaded', retryAfterMs: 20_000 },
  { kind: 'rate_limit' },
  { kind: 'rate_limit', retryAfterMs: 20_000 },
  { kind: 'silence' },
  { kind: 'stall' },
  { kind: 'reset' },
];

/** From a separate random source, so that the other requests do not change. */
function poisonOf(dice: Dice, hasClients: boolean): Load | null {
  if (!dice.hits(0.3)) return null;
  const who = hasClients ? { client: POISON_CLIENT.name } : { session: 'poison' };
  const kind: LoadKind = { model: dice.one(['fast', 'wide', 'sole']), poison: dice.one(POISONS), inputTokens: 30, outputBound: 20, ...who };
  return { durationMs: SCENE_MS, requestsPerMinute: dice.one([20, 100, 300]), shape: [1, 0, 1], kinds: [kind] };
}

function limitsOf(dice: Dice, requestsPerMinute: number): ProviderLimits {
  const enforce = dice.one(['bucket', 'bucket', 'sliding'] as const);
  const rate = Math.max(10, Math.round(requestsPerMinute));
  const limited = dice.whole(1, 7);
  return {
    ...(limited & 1 ? { requestsPerMinute: rate } : {}),
    ...(limited & 2 ? { tokensPerMinute: Math.round(rate * dice.between(700, 1_400)) + 5_000 } : {}),
    ...(limited & 4 ? { concurrency: Math.max(2, Math.round((rate / 60) * dice.between(2, 8))) } : {}),
    enforce,
    ...(enforce === 'bucket' ? { burst: dice.one([1, 0.5, 0.2, 0.1]) } : {}),
  };
}

/** From a separate random source, so that the other scenes do not change. */
function unknownOf(seed: number, names: readonly string[]): ReadonlyMap<string, Unknown> {
  const dice = new Dice(createSeededRandom(seed + 0.375));
  if (!dice.hits(0.25)) return new Map();
  return new Map(names.filter(() => dice.hits(0.7)).map((name) => [name, dice.one(['advertised', 'silent'] as const)]));
}

function tellingOf(behaviour: ProviderBehaviour, unknown: Unknown | undefined): ProviderBehaviour {
  return unknown === undefined ? behaviour : { ...behaviour, advertise: unknown === 'advertised' };
}

function providerOf(name: string, limits: ProviderLimits | null) {
  const provider = { protocol: 'openai' as const, baseUrl: `http://${name}.invalid/v1`, apiKey: `sk-${name}` };
  if (limits === null) return provider;
  const { enforce, burst, givesBack: _, ...counted } = limits;
  const how = { window: enforce ?? 'bucket', ...(burst === undefined ? {} : { burst }) } as const;
  return { ...provider, limits: { ...counted, ...how } };
}

function behaviourOf(dice: Dice, limits: ProviderLimits): ProviderBehaviour {
  return {
    limits,
    networkMs: dice.whole(1, 60),
    // Within the network delay that the gateway assumes.
    jitterMs: { samples: [0, 1, 5, 20, 60] },
    hints: dice.one(['header', 'header', 'text', 'none'] as const),
    advertise: dice.hits(0.7),
    firstTokenMs: { p50: dice.between(100, 900), p95: dice.between(1_000, 4_000) },
    tokensPerSecond: { p50: dice.between(30, 120), p95: 150 },
    outputTokens: { samples: [5, 20, 60, 120, 200, 400, 800] },
    ...(dice.hits(0.2) ? { knee: { concurrency: dice.whole(5, 20), refuseAbove: 60 } } : {}),
    faults: faultsOf(dice),
  };
}

const RARE: readonly SimulatedFaultKind[] = ['rate_limit', 'server_error', 'overloaded', 'refused', 'reset', 'silence', 'stall', 'cut'];
const RARER: readonly SimulatedFaultKind[] = ['error_event', 'empty'];

function faultsOf(dice: Dice): SimulatedFault[] {
  const faults: SimulatedFault[] = [];
  if (dice.hits(0.4)) {
    // A complete outage that ends.
    const fromMs = dice.between(30_000, 300_000);
    const kind = dice.one(['server_error', 'overloaded', 'refused', 'reset', 'silence', 'rate_limit'] as const);
    const untilMs = fromMs + dice.between(20_000, 200_000);
    faults.push({ kind, fromMs, untilMs, ...(kind === 'rate_limit' && dice.hits(0.5) ? { retryAfterMs: 5_000 } : {}) });
  }
  if (dice.hits(0.3)) return faults;
  for (const kind of [...RARE, ...RARER]) {
    if (!dice.hits(0.4)) continue;
    const probability = dice.one([0.003, 0.01, 0.03, 0.1]);
    faults.push({ kind, probability, ...(kind === 'rate_limit' && dice.hits(0.5) ? { retryAfterMs: dice.between(100, 9_000) } : {}) });
  }
  return faults;
}

function modelsOf(dice: Dice, names: readonly string[], unknown: ReadonlyMap<string, Unknown>): NonNullable<ConfigInput['models']> {
  const tiered = names.map((name) => `${name}/m`);
  return {
    fast: { targets: tiered, patience: dice.one(['0ms', '1s', '5s']) },
    wide: { targets: [names.map((name, i) => ({ target: `${name}/m`, weight: i + 1 }))] },
    // Two models that share an unadvertised limit cost more refusals than the invariants allow.
    sole: [`${names.at(-1)}/${unknown.has(names.at(-1)!) ? 'm' : 'n'}`],
  };
}

function policyOf(dice: Dice): NonNullable<ConfigInput['policy']> {
  return {
    deadline: dice.one(['20s', '60s', '3m']),
    maxAttempts: dice.whole(1, 5),
    retry: { budget: dice.one([{}, {}, { ratio: 0.05, minPerSecond: 0 }, { ratio: 0.1, minPerSecond: 0.02 }]) },
    queue: {
      minShare: MIN_SHARE,
      ...(dice.hits(0.2) ? { maxSize: dice.whole(5, 60) } : {}),
      ...(dice.hits(0.2) ? { maxWait: dice.one(['2s', '20s']) } : {}),
    },
    ...(dice.hits(0.3) ? { timeouts: { firstContent: '6s', headers: '20s', idle: '10s' } } : {}),
    ...(dice.hits(0.3) ? { stream: { keepAlive: '5s' } } : {}),
  };
}

/** From a separate random source, so that the scenes do not change. */
function hedgeOf(dice: Dice) {
  return {
    enabled: dice.hits(0.4),
    delay: dice.one(['p50', 'p95', '300ms', '2s'] as const),
    budget: dice.one([0.05, 0.2, 1]),
  };
}

function loadOf(dice: Dice, requestsPerMinute: number, hasClients: boolean, models: readonly string[]): Load {
  const kinds: LoadKind[] = [];
  for (const model of models) {
    for (const priority of ['high', 'normal', 'low'] as const) {
      const client = priority === 'high' ? 'web' : priority === 'low' ? 'night' : dice.one(['app', 'desk']);
      kinds.push({
        weight: dice.between(0.2, 2),
        model,
        ...(hasClients ? { client } : { priority }),
        ...(dice.hits(0.7) ? { deadlineMs: { p50: dice.between(3_000, 60_000), p95: 120_000 } } : {}),
        stream: dice.one([0, 0.5, 1]),
        inputTokens: { p50: dice.between(30, 600), p95: 3_000 },
        ...(dice.hits(0.7) ? { outputBound: { p50: dice.between(20, 300), p95: 900 } } : {}),
        leaves: dice.one([0, 0.03, 0.2]),
        slowReaders: dice.one([0, 0, 0.2]),
      });
    }
  }
  const shape = dice.one([[1], [1, 1, 1, 1], [0.5, 2, 0.5, 1], [0.2, 0.2, 3, 0.6], [2, 2, 0, 0], [0.1, 1.9, 0.1, 1.9, 0.1, 1.9]]);
  return { durationMs: SCENE_MS, requestsPerMinute, shape, kinds };
}
