/** The library API: the whole engine in this process, without a port. */
import type { Clock } from '../core/clock.ts';
import { detailText } from '../core/detail-text.ts';
import { EventBus, type EventType, type Listener } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import { isNamedBy } from '../gateway/config-facts.ts';
import { createGateway } from '../gateway/create-gateway.ts';
import { missingParts, parseConfig, type Config, type ConfigInput } from '../gateway/config/index.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { operatorStatus } from '../gateway/operator-status.ts';
import { otlpOptions } from '../gateway/otlp-options.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { systemRandom } from '../gateway/system-random.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Transport } from '../transport/transport.ts';
import { createApp, type App } from './app.ts';
import { drain } from './drain.ts';
import { createFetch } from './fetch.ts';
import { openGatewayMode, type GatewayAddress, type GatewayMode } from './library/gateway-mode.ts';

export type LibraryConfig = ConfigInput & {
  /**
   * A running gateway that answers while it is alive. Without it requests run in this process, by the rest of this config, within this
   * library's share of the limits. Default: none.
   */
  readonly gateway?: GatewayAddress;
};

export interface BreakwaterOptions {
  /** Default: the system clock. */
  readonly clock?: Clock;
  /** Default: `Math.random`. */
  readonly random?: Random;
  /** Default: `store` of the config, else memory. Closed by `close`. */
  readonly store?: Store;
  /** Sends upstream requests. Default: HTTP. Closed by `close`. */
  readonly transport?: Transport;
}

export interface Breakwater {
  /**
   * A `fetch` that sends requests to this engine, for any host in the URL: pass it to an SDK. No key is required unless `clients` are
   * configured.
   */
  readonly fetch: typeof fetch;
  /** Adds a listener for one event type; returns a function that removes it. An exception in a listener becomes a process warning. */
  on<T extends EventType>(type: T, listener: Listener<T>): () => void;
  /** Refuses new requests, waits up to `server.drainTimeout` for running ones, and closes sockets and store. */
  close(): Promise<void>;
}

/**
 * Creates a Breakwater from a config in the form of the config file. Rejects with an Error that lists all faults of the config by path.
 */
export async function createBreakwater(written: LibraryConfig, options: BreakwaterOptions = {}): Promise<Breakwater> {
  const { clock = systemClock, random = systemRandom } = options;
  const { gateway: address, ...input } = written;
  const parsed = parseConfig(input, { env: process.env, source: 'library' });
  const faults = parsed.ok ? missingParts(parsed.config) : parsed.faults;
  if (!parsed.ok || faults.length > 0)
    throw new Error(`the config is not valid:\n${faults.map((fault) => `  ${fault.message}`).join('\n')}`);
  const { config } = parsed;
  const events = new EventBus((error) => process.emitWarning(error instanceof Error ? error : String(error)));
  const warn = (message: string, detail: Readonly<Record<string, unknown>> = {}): void => {
    events.emit({ type: 'warning', at: clock.now(), message, detail: detailText(detail) });
  };
  const mode = address === undefined ? null : await openGatewayMode(address, clock, random, warn);
  /** To be closed if the start fails. */
  let opened: { close(): Promise<void> } | null = null;
  try {
    const store = options.store ?? (opened = await openOwnStore(config, clock, mode, warn));
    await mode?.start({ shared: store.shared, expectedInstances: config.cluster.expectedInstances });
    const transport = options.transport === undefined ? {} : { transport: options.transport };
    // Its close includes that of the store.
    const gateway = (opened = await createGateway({ config, clock, random, store, events, env: process.env, ...transport }));
    const telemetry = await attachTelemetry(config, input, gateway, clock);
    const app = createApp({ gateway, random, timelines: telemetry.timelines, feed: telemetry.feed, scrape: () => scrapeOf(telemetry) });
    mode?.report();
    return toBreakwater({ app, gateway, telemetry, mode, clock, timeoutMs: config.server.drainTimeout });
  } catch (error) {
    await opened?.close();
    await mode?.close();
    throw error;
  }
}

interface BreakwaterParts {
  readonly app: App;
  readonly gateway: Gateway;
  readonly telemetry: Telemetry;
  /** Null: there is no other gateway. */
  readonly mode: GatewayMode | null;
  readonly clock: Clock;
  /** As of `DrainParts`. */
  readonly timeoutMs: number;
}

function toBreakwater({ app, gateway, telemetry, mode, clock, timeoutMs }: BreakwaterParts): Breakwater {
  const local = createFetch(app);
  let closing: Promise<void> | null = null;
  async function close(): Promise<void> {
    try {
      await Promise.all([drain({ app, gateway, listener: null, clock, timeoutMs }), mode?.drain(timeoutMs)]);
    } finally {
      await mode?.close();
      await telemetry.close();
    }
  }
  return {
    fetch: mode?.wrap(local) ?? local,
    on: (type, listener) => gateway.events.on(type, listener),
    close: () => (closing ??= close()),
  };
}

function openOwnStore(
  config: Config,
  clock: Clock,
  mode: GatewayMode | null,
  onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void,
): Promise<Store> {
  return openStore(storeUrl(config.store), { clock, onWarning, ...(mode !== null && { shared: mode.share }) });
}

/**
 * Sets up the request log, metrics and timelines, which are available through `fetch`. Log lines are written to the application's stderr
 * only if the config contains `telemetry.logs`.
 */
async function attachTelemetry(config: Config, input: ConfigInput, gateway: Gateway, clock: Clock): Promise<Telemetry> {
  // Loaded lazily, as loading it takes time.
  const { createTelemetry } = await import('../telemetry/telemetry.ts');
  const { logs, requests } = config.telemetry;
  const telemetry = createTelemetry({
    logs: { level: input.telemetry?.logs === undefined ? 'silent' : logs.level },
    requests,
    clock,
    secrets: config.secrets,
    captures: gateway.captures,
    snapshot: () => gateway.snapshot(),
    status: () => operatorStatus(gateway, false),
    isConfiguredModel: (model) => gateway.isListed(model),
    isConfiguredTarget: isNamedBy(() => gateway.config),
    ...otlpOptions(config, () => gateway.config),
  });
  telemetry.attach(gateway.events);
  return telemetry;
}

async function scrapeOf({ metrics }: Telemetry): Promise<{ contentType: string; body: string }> {
  return { contentType: metrics.contentType, body: await metrics.scrape() };
}

/** The URL of a configured store. */
function storeUrl(store: { readonly kind: string; readonly path?: string; readonly url?: string }): string {
  return store.kind === 'sqlite' ? `sqlite:${store.path}` : (store.url ?? 'memory:');
}
