/** A complete gateway on a real socket, in this process, for tests against Storm. */
import OpenAI from 'openai';
import type { Clock } from '../../src/core/clock.ts';
import { EventBus } from '../../src/core/events.ts';
import type { BreakwaterEvent } from '../../src/core/events.ts';
import { parseConfig } from '../../src/gateway/config/index.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { createApp } from '../../src/server/app.ts';
import { createFetch } from '../../src/server/fetch.ts';
import { listen } from '../../src/server/listener.ts';
import { listenerOfTests } from '../server/listener-of-tests.ts';
import type { GatewayRequest } from '../../src/pipeline/request/gateway-request.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createTimelines } from '../../src/telemetry/timelines.ts';
import type { Timelines } from '../../src/telemetry/timelines.ts';
import { Traces } from '../../src/telemetry/traces.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import type { Transport } from '../../src/transport/transport.ts';

export interface TestGateway {
  readonly url: string;
  readonly gateway: Gateway;
  readonly events: BreakwaterEvent[];
  /** The same gateway without a socket. */
  readonly fetch: typeof fetch;
  /** The official SDK, connected through the socket, without retries. */
  readonly openai: OpenAI;
  post(path: string, body: unknown, init?: { headers?: Record<string, string>; signal?: AbortSignal }): Promise<Response>;
  chat(body?: Record<string, unknown>, headers?: Record<string, string>): Promise<Response>;
  eventsOf<T extends BreakwaterEvent['type']>(type: T): Extract<BreakwaterEvent, { type: T }>[];
  close(): Promise<void>;
}

export interface TestGatewayOptions {
  /** Base of relative paths in the config and of engine packages. Default: the working directory. */
  readonly directory?: string;
  readonly seed?: number;
  readonly store?: Store;
  /** Default: the system clock. */
  readonly clock?: Clock;
  /** Default: HTTP over undici. */
  readonly transport?: Transport;
  /** Keeps timelines for `/admin/requests`. Default false. */
  readonly timelines?: boolean;
  /** Called with every request before the engine. */
  readonly onRequest?: (request: GatewayRequest) => void;
}

export async function startGateway(input: ConfigInput, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { directory } = options;
  const parsed = parseConfig(withWires(input), { source: 'library', ...(directory !== undefined && { directory }) });
  if (!parsed.ok) throw new Error(parsed.faults.map((fault) => `${fault.path}: ${fault.message}`).join('\n'));
  const random = createSeededRandom(options.seed ?? 1);
  const bus = new EventBus((error) => {
    throw error;
  });
  const events: BreakwaterEvent[] = [];
  bus.onAny((event) => events.push(event));
  const clock = options.clock ?? systemClock;
  const store = options.store ?? (await openStore('memory:', { clock, onWarning: () => {} }));
  const transport = options.transport === undefined ? {} : { transport: options.transport };
  const gateway = await createGateway({ config: parsed.config, clock, random, store, events: bus, ...transport });
  const { onRequest } = options;
  if (onRequest !== undefined) {
    const handle = gateway.handle.bind(gateway);
    gateway.handle = (request, sink) => {
      onRequest(request);
      return handle(request, sink);
    };
  }
  const timelines = options.timelines === true ? { timelines: keepTimelines(bus, clock) } : {};
  const app = createApp({ gateway, random, boundHost: '127.0.0.1', ...timelines });
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    handle: app.handle,
    answerBroken: app.answerBroken,
    ...listenerOfTests(),
    onError(error) {
      throw error;
    },
  });
  const url = `http://127.0.0.1:${listener.port}`;

  function post(path: string, body: unknown, init: { headers?: Record<string, string>; signal?: AbortSignal } = {}): Promise<Response> {
    return fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...init.headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(init.signal === undefined ? {} : { signal: init.signal }),
    });
  }

  return {
    url,
    gateway,
    events,
    fetch: createFetch(app),
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 }),
    post,
    chat: (body = {}, headers = {}) => post('/v1/chat/completions', chatBody(body), { headers }),
    eventsOf: (type) => events.filter((event) => event.type === type) as never,
    async close() {
      await gateway.close();
      listener.destroy();
      await listener.close();
    },
  };
}

/** With `BREAKWATER_HTTP_CLIENT=undici` every test runs over the other client. */
function withWires(input: ConfigInput): ConfigInput {
  const { BREAKWATER_HTTP_CLIENT: httpClient = '' } = process.env;
  return httpClient === '' ? input : { ...input, server: { ...input.server, httpClient: httpClient as 'undici' } };
}

function keepTimelines(bus: EventBus, clock: Clock): Timelines {
  const traces = new Traces(clock);
  bus.onAny((event) => {
    if ('requestId' in event) traces.record(event, clock.epochMs());
  });
  return createTimelines(traces, clock);
}

export function chatBody(more: Record<string, unknown> = {}): Record<string, unknown> {
  return { model: 'fast', messages: [{ role: 'user', content: 'Say something about harbours.' }], max_tokens: 20, ...more };
}
