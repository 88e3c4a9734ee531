/**
 * A complete gateway on virtual time: the real engine behind its real routes, with callers and providers in process, no
 * sockets, and all randomness from one seed. Ten minutes take a fraction of a second and are reproducible.
 */
import { hash } from 'node:crypto';
import type { Instant, Timer } from '../core/clock.ts';
import { EventBus } from '../core/events.ts';
import { parseConfig, type Config, type ConfigInput } from '../gateway/config/index.ts';
import { createGateway } from '../gateway/create-gateway.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { createApp, type App } from '../server/app.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import type { Transport } from '../transport/transport.ts';
import { retryDelayMs } from './client-retries.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { createSeededRandom } from './seeded-random.ts';
import { SimulatedCaller } from './simulated-caller.ts';
import { SimulatedProvider, type ProviderBehaviour, type ProviderCall } from './simulated-provider.ts';
import type { Poison, SimulatedRequest } from './workload.ts';

export interface SimulationOptions {
  /** As written, or as loaded from a file. Its addresses and keys are replaced; nothing is sent. */
  readonly config: ConfigInput | Config;
  /** By provider name in the config; others use the defaults, without limits or faults. */
  readonly providers?: Readonly<Record<string, ProviderBehaviour>>;
  /** Default 1. */
  readonly seed?: number;
  /** Default: memory. Closed with the simulation. */
  readonly store?: Store;
  readonly clock?: ManualClock;
  /** Called for every call that reaches a provider. */
  readonly onCall?: (provider: string, call: ProviderCall) => void;
}

/** Virtual time after the last arrival within which all requests must end; longer than any deadline. */
const PATIENCE_MS = 3 * 3_600_000;

/** Starts a gateway with simulated providers. Rejects with an Error that lists the faults of the config. */
export async function createSimulation(options: SimulationOptions): Promise<Simulation> {
  const config = withSimulatedAddresses(isRead(options.config) ? options.config : read(options.config));
  const clock = options.clock ?? createManualClock();
  const seed = options.seed ?? 1;
  const events = new EventBus((error) => {
    throw error;
  });
  const lengths = new Map<string, number>();
  const poisons = new Map<string, Poison>();
  const providers = makeProviders(config, options, clock, seed, { lengths, poisons });
  const store = options.store ?? (await openStore('memory:', { clock, onWarning: () => {} }));
  const random = createSeededRandom(seed + 0.5);
  const gateway = await createGateway({ config, clock, random, store, events, transport: transportOver(providers) });
  const app = createApp({ gateway, random });
  return new Simulation(clock, gateway, app, events, providers, { lengths, poisons });
}

/** Properties of requests by id: the length of their responses, and how they fail. */
interface RequestTraits {
  readonly lengths: Map<string, number>;
  readonly poisons: Map<string, Poison>;
}

export class Simulation {
  readonly clock: ManualClock;
  readonly gateway: Gateway;
  readonly events: EventBus;
  readonly providers: ReadonlyMap<string, SimulatedProvider>;
  readonly #app: App;
  readonly #traits: RequestTraits;
  readonly #callers = new Set<SimulatedCaller>();

  constructor(
    clock: ManualClock,
    gateway: Gateway,
    app: App,
    events: EventBus,
    providers: ReadonlyMap<string, SimulatedProvider>,
    traits: RequestTraits,
  ) {
    this.clock = clock;
    this.gateway = gateway;
    this.events = events;
    this.providers = providers;
    this.#app = app;
    this.#traits = traits;
  }

  /** Callers whose response has not ended, in order of arrival. */
  get callers(): ReadonlySet<SimulatedCaller> {
    return this.#callers;
  }

  /** Sends a request now; `onOver` is called when it ends. It progresses as time is advanced. */
  send(request: SimulatedRequest, onOver: (caller: SimulatedCaller) => void = () => {}): SimulatedCaller {
    const { lengths, poisons } = this.#traits;
    if (request.outputTokens !== undefined) lengths.set(request.id, request.outputTokens);
    if (request.poison !== undefined) poisons.set(request.id, request.poison);
    const key = request.client === null ? null : keyOf(request.client);
    let leaving: Timer | null = null;
    const caller = new SimulatedCaller(request, key, this.clock, (one) => {
      this.#callers.delete(one);
      leaving?.cancel();
      onOver(one);
    });
    this.#callers.add(caller);
    if (request.leavesAfterMs !== null) leaving = this.clock.schedule(request.leavesAfterMs, () => caller.leave());
    this.#app.handle(caller);
    return caller;
  }

  /**
   * Sends each request at its instant, relative to now, and advances time until all have ended. `onOver` is called at
   * each end, including those of retries. Rejects if requests never end.
   */
  async play(requests: readonly SimulatedRequest[], onOver: (caller: SimulatedCaller) => void = () => {}): Promise<void> {
    let unsent = 0;
    const sendLater = (request: SimulatedRequest, delayMs: number, tries: number): void => {
      unsent++;
      this.clock.schedule(delayMs, () => {
        unsent--;
        this.send(request, (caller) => {
          onOver(caller);
          const againMs = retryDelayMs(caller, tries);
          if (againMs !== null) sendLater({ ...request, id: `${request.id}+` }, againMs, tries + 1);
        });
      });
    };
    for (const request of requests) sendLater(request, request.atMs, 1);
    const lastMs = requests.reduce((last, request) => Math.max(last, request.atMs), 0);
    await this.until(() => unsent === 0 && this.#callers.size === 0, lastMs + PATIENCE_MS);
  }

  /** Advances from timer to timer until `isSo`; rejects after `limitMs`. */
  async until(isSo: () => boolean, limitMs = PATIENCE_MS): Promise<void> {
    const giveUpAt: Instant = this.clock.now() + limitMs;
    if (await this.clock.runUntil(isSo, giveUpAt)) return;
    throw new Error(
      `at ${Math.round(this.clock.now())} ms ${this.#callers.size} requests have not ended, and no timer is left that could end them`,
    );
  }

  /** Advances time. */
  pass(durationMs: number): Promise<void> {
    return this.clock.advanceAsync(durationMs);
  }

  close(): Promise<void> {
    return this.gateway.close();
  }
}

function isRead(config: ConfigInput | Config): config is Config {
  return typeof config.store === 'object';
}

function read(input: ConfigInput): Config {
  const parsed = parseConfig(input, { source: 'library' });
  if (parsed.ok) return parsed.config;
  throw new Error(`the config is not valid:\n${parsed.faults.map((fault) => `  ${fault.message}`).join('\n')}`);
}

/** Gives every provider a non-existent address and every client a known key. */
function withSimulatedAddresses(config: Config): Config {
  const providers = Object.fromEntries(
    Object.entries(config.providers).map(([name, provider], i) => {
      const apiKeys = provider.apiKeys === 'caller' ? provider.apiKeys : provider.apiKeys.map((_, k) => `simulated-${i}-${k}`);
      return [name, { ...withoutQuality(provider), baseUrl: `http://p${i}.invalid/v1`, apiKeys }];
    }),
  );
  const clients = config.clients.map((client) => {
    const key = keyOf(client.name);
    return { ...client, key, keyHash: `sha256:${hash('sha256', key, 'hex')}` };
  });
  const models = Object.fromEntries(Object.entries(config.models).map(([name, model]) => [name, withoutQuality(model)]));
  return { ...withoutQuality(config), providers, models, clients };
}

/** Disables quality checks: simulated content is meaningless. */
function withoutQuality<T extends { readonly policy: { readonly quality?: object | undefined } }>(owner: T): T {
  const { quality } = owner.policy;
  if (quality === undefined) return owner;
  const calm = {
    rejectRefusal: false,
    rejectRepetition: false,
    jsonSchema: false,
    minLength: 0,
    mustMatch: [],
    mustNotMatch: [],
    check: null,
  };
  return { ...owner, policy: { ...owner.policy, quality: { ...quality, ...calm } } };
}

function keyOf(client: string): string {
  return `simulated-client-${client}`;
}

function makeProviders(
  config: Config,
  options: SimulationOptions,
  clock: ManualClock,
  seed: number,
  { lengths, poisons }: RequestTraits,
): ReadonlyMap<string, SimulatedProvider> {
  const providers = new Map<string, SimulatedProvider>();
  for (const [i, name] of Object.keys(config.providers).entries()) {
    const random = createSeededRandom(seed * 1_009 + i + 1);
    const { onCall } = options;
    const provider = new SimulatedProvider(options.providers?.[name] ?? {}, {
      name,
      clock,
      random,
      lengthOf: (id) => lengths.get(id),
      poisonOf: (id) => poisons.get(id),
      ...(onCall === undefined ? {} : { onCall: (call: ProviderCall) => onCall(name, call) }),
    });
    providers.set(name, provider);
  }
  return providers;
}

function transportOver(providers: ReadonlyMap<string, SimulatedProvider>): Transport {
  const byOrigin = new Map([...providers.values()].map((provider, i) => [`http://p${i}.invalid`, provider]));
  return {
    send: (request, listener) => byOrigin.get(request.origin)!.send(request, listener),
    close: () => Promise.resolve(),
  };
}
