/** A gateway without an engine, for the server's own tests: it notes what it is given and answers as it is told. */
import { Money } from '../../src/gateway/money/money.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { SlicedWork } from '../../src/core/sliced-work.ts';
import { EventBus } from '../../src/core/events.ts';
import { SecretMask } from '../../src/core/secrets/secret-mask.ts';
import type { BreakwaterError } from '../../src/core/errors.ts';
import { FormerConfigs } from '../../src/gateway/former-configs.ts';
import { createClients } from '../../src/gateway/clients.ts';
import { parseConfig, type Config, type ConfigInput } from '../../src/gateway/config/index.ts';
import { ConversationHistory } from '../../src/gateway/response-history.ts';
import { ResponseStore } from '../../src/gateway/response-store.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import type { Gateway, QueueStatus, KnownClient, ModelEntry } from '../../src/gateway/gateway.ts';
import { errorResponse } from '../../src/pipeline/delivery/error-response.ts';
import type { GatewayRequest } from '../../src/pipeline/request/gateway-request.ts';
import type { ResponseSink } from '../../src/pipeline/request/response-sink.ts';
import type { Snapshot } from '../../src/telemetry/snapshot.ts';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';

export type Answer = (request: GatewayRequest, sink: ResponseSink) => void | Promise<void>;

export interface FakeGateway extends Gateway {
  readonly clock: ManualClock;
  readonly requests: GatewayRequest[];
  /** How requests are answered from now on. */
  answer: Answer;
  /** Bytes of bodies held just now. */
  heldBytes: number;
  heldBytesMax: number;
  readonly isolated: string[];
  isDraining: boolean;
  isClosed: boolean;
}

export const target = 'backup/big';

/** The library's own reading of a config, so that tests hold the same values as a real start. */
export function configOf(input: ConfigInput): Config {
  const providers = { backup: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-upstream' } };
  const parsed = parseConfig({ providers, models: { fast: [target], 'vendor/one': [target] }, ...input }, { source: 'library' });
  if (!parsed.ok) throw new Error(parsed.faults.map((fault) => fault.message).join('\n'));
  return parsed.config;
}

function fail(error: unknown): never {
  throw error;
}

function conversations(clock: ManualClock) {
  const slices = new SlicedWork(systemClock);
  const responses = new ResponseStore(createMemoryStore({ clock }), clock, { transport: null as never, routeOf: () => null });
  return { slices, responses, history: new ConversationHistory(responses, slices) };
}

function moneyOf(clock: ManualClock): Money {
  const store = createMemoryStore({ clock });
  return new Money({ store, clock, events: new EventBus(fail), config: () => configOf({}), warn: fail, mask: (text) => text, fleet: null });
}

/** What the fake has none of. */
const ABSENT: Pick<FakeGateway, 'captures' | 'fleet' | 'jobs' | 'store' | 'tracer'> = {
  jobs: null,
  fleet: null,
  store: { kind: 'memory', health: { state: 'ok' } },
  captures: { prompt: () => null, bodies: () => null },
  tracer: { trace: (request) => request, idsOf: () => undefined },
};

export function createFakeGateway(input: ConfigInput = {}): FakeGateway {
  let config = configOf(input);
  let clients = createClients(config, () => ({ resources: [], budget: null, sessions: null }));
  let running = 0;
  let onIdle: (() => void) | null = null;
  const clock = createManualClock();
  const gateway: FakeGateway = {
    get config() {
      return config;
    },
    clock,
    ...conversations(clock),
    former: new FormerConfigs(() => clock.now()),
    money: moneyOf(clock),
    ...ABSENT,
    secrets: new SecretMask(config.secrets),
    events: new EventBus(fail),
    requests: [],
    answer: (request, sink) => {
      sink.head(200, ['content-type', 'application/json', 'x-request-id', request.id]);
      sink.end(Buffer.from(JSON.stringify({ model: request.facts.model })));
    },
    heldBytes: 0,
    heldBytesMax: Infinity,
    isolated: [],
    isDraining: false,
    isClosed: false,
    authenticate: (credential) => clients.authenticate(credential),
    async handle(request, sink) {
      gateway.requests.push(request);
      running++;
      await gateway.answer(request, sink);
      if (--running === 0) onIdle?.();
    },
    models: async (client) => modelsFor(client, Object.keys(config.models)),
    countsTokens: async () => true,
    isListed: (model) => config.models[model] !== undefined,
    hasModel: async (name) => config.models[name] !== undefined,
    findModel: async (client, name) =>
      config.models[name] !== undefined && client.mayUse(name) ? { id: name, ownedBy: 'breakwater' } : null,
    tryHoldBytes(bytes) {
      if (gateway.heldBytes + bytes > gateway.heldBytesMax) return false;
      gateway.heldBytes += bytes;
      return true;
    },
    holdBytes(bytes) {
      gateway.heldBytes += bytes;
    },
    releaseBytes(bytes) {
      gateway.heldBytes -= bytes;
    },
    isOverByteShare: () => false,
    targets: () => [],
    queue: () => queueOf(running, gateway.heldBytes),
    snapshot: () => snapshotOf(running, gateway.heldBytes),
    isolate: (name) => name === target && gateway.isolated.push(name) > 0,
    reset: (name) => name === target,
    async reload(next) {
      config = next;
      clients = createClients(config, () => ({ resources: [], budget: null, sessions: null }));
    },
    drain() {
      gateway.isDraining = true;
      return running === 0 ? Promise.resolve() : new Promise((resolve) => (onIdle = resolve));
    },
    async close() {
      gateway.isClosed = true;
    },
  };
  return gateway;
}

/** An answer that fails as the engine's do. */
export function failing(error: BreakwaterError): Answer {
  return (request, sink) => {
    const { status, headers, body } = errorResponse(request.dialect.error, error, request.id, request.program ?? null);
    sink.head(status, headers);
    sink.end(body);
  };
}

function queueOf(inFlight: number, heldBytes: number): QueueStatus {
  return { waiting: 0, waitingByPriority: {}, inFlight, heldBytes, oldestMs: 0, groups: [], others: 0 };
}

function snapshotOf(inFlight: number, heldBytes: number): Snapshot {
  return {
    queueLength: { high: 0, normal: 0, low: 0, job: 0 },
    inFlight,
    heldBytes,
    resources: [],
    estimates: [],
    engines: [],
    breakers: [],
  };
}

function modelsFor(client: KnownClient, names: readonly string[]): ModelEntry[] {
  return names.filter((id) => client.mayUse(id)).map((id) => ({ id, ownedBy: 'breakwater' }));
}
