/** A complete gateway in virtual time: a manual clock, a simulated upstream, and callers in this process. */
import type { TestContext } from 'node:test';
import type { Instant } from '../../src/core/clock.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { Store } from '../../src/store/store.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import type { ManualClock } from '../../src/testing/manual-clock.ts';
import { createSimulatedUpstream } from '../../src/testing/simulated-upstream.ts';
import type { SimulatedResponse, SimulatedCall, SimulatedUpstream } from '../../src/testing/simulated-upstream.ts';
import { chatBody, startGateway } from './harness.ts';
import type { TestGateway } from './harness.ts';

export interface VirtualWorld extends TestGateway {
  readonly clock: ManualClock;
  readonly upstream: SimulatedUpstream;
  /** Number of calls received by a provider. */
  callsTo(provider: string): number;
  /** Sends a chat request; it progresses as time is advanced. */
  ask(body?: Record<string, unknown>, headers?: Record<string, string>): VirtualAnswer;
  /** Advances time until the promise has settled; fails after a day. */
  until<T>(promise: Promise<T>): Promise<T>;
  /** Sends a request and waits for the end. */
  answerTo(body?: Record<string, unknown>, headers?: Record<string, string>): Promise<VirtualSeen>;
}

export interface VirtualSeen {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Each chunk of the body, with milliseconds since the request. */
  readonly pieces: readonly { readonly atMs: number; readonly text: string }[];
  readonly headAtMs: number;
  readonly endAtMs: number;
}

export interface VirtualAnswer {
  readonly done: Promise<VirtualSeen>;
  leave(): void;
}

export interface VirtualOptions {
  /** One script per provider; the provider's name is the host of its address, followed by `domain`. */
  readonly providers: Readonly<Record<string, (call: SimulatedCall) => SimulatedResponse>>;
  /** Configured providers, if they are of other kinds; `providers` is then keyed by host. */
  readonly configured?: ConfigInput['providers'];
  /** Default: none. A bare name is a self-hosted server, which may be silent for longer; `.test` is a public provider. */
  readonly domain?: string;
  /** Default: `fast`, over the model `m` of every provider in turn; `deep`, over `gpt-5`. */
  readonly models?: ConfigInput['models'];
  readonly limits?: Record<string, number>;
  /** `caller`: every provider gets the caller's credential; a list: every provider has these keys. */
  readonly keys?: 'caller' | readonly string[];
  readonly config?: Omit<ConfigInput, 'providers' | 'models'>;
  /** Default: in memory. */
  readonly store?: Store;
}

function keysOf({ keys }: VirtualOptions): { apiKey: string } | { apiKeys: string[] } {
  return keys === undefined || keys === 'caller' ? { apiKey: keys ?? 'sk-test' } : { apiKeys: [...keys] };
}

const DAY_MS = 86_400_000;

export async function startVirtualWorld(t: TestContext, options: VirtualOptions): Promise<VirtualWorld> {
  const clock = createManualClock();
  const names = Object.keys(options.providers);
  const domain = options.domain ?? '';
  const upstream = createSimulatedUpstream(clock, (call) => {
    const { hostname } = new URL(call.request.origin);
    return options.providers[hostname.slice(0, hostname.length - domain.length)]!(call);
  });
  const limits = options.limits === undefined ? {} : { limits: options.limits };
  const providers = Object.fromEntries(
    names.map((name) => [name, { protocol: 'openai' as const, baseUrl: `http://${name}${domain}/v1`, ...keysOf(options), ...limits }]),
  );
  const models = options.models ?? { fast: names.map((name) => `${name}/m`), deep: names.map((name) => `${name}/gpt-5`) };
  const gateway = await startGateway(
    { ...options.config, providers: options.configured ?? providers, models },
    { clock, transport: upstream, ...(options.store !== undefined && { store: options.store }) },
  );
  t.after(() => gateway.close());

  const until = <T>(promise: Promise<T>): Promise<T> => drive(clock, promise);
  const ask = (body: Record<string, unknown> = {}, headers: Record<string, string> = {}): VirtualAnswer => {
    const caller = new AbortController();
    return { done: send(gateway, clock, body, headers, caller.signal), leave: () => caller.abort() };
  };
  return {
    ...gateway,
    clock,
    upstream,
    callsTo: (provider) => upstream.callsTo(`http://${provider}${domain}`),
    ask,
    until,
    answerTo: (body, headers) => until(ask(body, headers).done),
  };
}

async function send(
  gateway: TestGateway,
  clock: ManualClock,
  body: Record<string, unknown>,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<VirtualSeen> {
  const startedAt = clock.now();
  const sinceMs = () => clock.now() - startedAt;
  const response = await gateway.fetch('http://breakwater/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(chatBody(body)),
    signal,
  });
  const headAtMs = sinceMs();
  const decoder = new TextDecoder();
  const pieces: { atMs: number; text: string }[] = [];
  for await (const chunk of response.body ?? []) pieces.push({ atMs: sinceMs(), text: decoder.decode(chunk, { stream: true }) });
  const text = pieces.map((piece) => piece.text).join('');
  return { status: response.status, headers: response.headers, text, pieces, headAtMs, endAtMs: sinceMs() };
}

/** Advances from timer to timer; promise continuations run in between. */
export async function drive<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  void Promise.allSettled([promise]).then(() => (settled = true));
  const giveUpAt: Instant = clock.now() + DAY_MS;
  await clock.advanceAsync(0);
  while (!settled) {
    const next = clock.nextTimerAt;
    if (next === undefined || next > giveUpAt) throw new Error('nothing is left to run');
    await clock.advanceAsync(next - clock.now());
  }
  return promise;
}
