/** The setup of a test: Storms as providers, a gateway in front of them, and a caller over the socket or in process. */
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startStorm } from '../../src/storm/index.ts';
import type { Storm, StormOptions } from '../../src/storm/index.ts';
import { chatBody, startGateway } from './harness.ts';
import type { TestGateway, TestGatewayOptions } from './harness.ts';

/** How the caller reaches the gateway. */
export const WAYS = ['socket', 'process'] as const;
export type Way = (typeof WAYS)[number];

/** A response as its caller saw it. */
export interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Milliseconds until the response was complete. */
  readonly ms: number;
  /** Whether the response broke off. */
  readonly broken: boolean;
}

export interface World extends TestGateway {
  readonly storms: Readonly<Record<string, Storm>>;
  /** Posts a chat request and reads the whole response. */
  ask(body?: Record<string, unknown>, headers?: Record<string, string>, way?: Way): Promise<Seen>;
}

type ProviderInput = NonNullable<ConfigInput['providers']>[string];

export interface WorldOptions extends TestGatewayOptions {
  readonly storms: Readonly<Record<string, StormOptions>>;
  /** Additional settings of a provider by Storm name; complete settings of providers without a Storm. */
  readonly providers?: Readonly<Record<string, Partial<ProviderInput>>>;
  /** Default: `fast`, over a model `m` of every Storm in turn. */
  readonly models?: ConfigInput['models'];
  readonly config?: Omit<ConfigInput, 'providers' | 'models'>;
}

/** Starts everything and stops it with the test. Providers are named after their Storms. */
export async function startWorld(t: TestContext, options: WorldOptions): Promise<World> {
  const names = Object.keys(options.storms);
  const started = await Promise.all(names.map((name) => startStorm({ name, ...options.storms[name] })));
  t.after(() => Promise.all(started.map((storm) => storm.close())));
  const storms = Object.fromEntries(names.map((name, i) => [name, started[i]!]));
  // Providers without a Storm are used as given.
  const providers = {
    ...options.providers,
    ...Object.fromEntries(names.map((name) => [name, providerOf(storms[name]!, options.providers?.[name])])),
  };
  const models = options.models ?? { fast: names.map((name) => `${name}/m`) };
  const gateway = await startGateway({ ...options.config, providers, models }, options);
  t.after(() => gateway.close());
  return { ...gateway, storms, ask: (body = {}, headers = {}, way = 'socket') => ask(gateway, chatBody(body), headers, way) };
}

function providerOf(storm: Storm, more: Partial<ProviderInput> = {}): ProviderInput {
  const key = 'apiKeys' in more ? {} : { apiKey: 'sk-test' };
  return { protocol: 'openai', baseUrl: storm.url, ...key, ...more };
}

async function ask(gateway: TestGateway, body: object, headers: Record<string, string>, way: Way): Promise<Seen> {
  const startedAt = performance.now();
  const go = way === 'socket' ? fetch : gateway.fetch;
  const base = way === 'socket' ? gateway.url : 'http://breakwater';
  const response = await go(`${base}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  const { text, broken } = await readAll(response);
  return { status: response.status, headers: response.headers, text, ms: performance.now() - startedAt, broken };
}

/** The complete text, or everything before it broke off. */
export async function readAll(response: Response): Promise<{ text: string; broken: boolean }> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  } catch {
    return { text, broken: true };
  }
  return { text, broken: false };
}

/** The JSON error of a response or of a stream's last event. */
export function errorOf(text: string): { message: string; type: string; param: string | null; code: string | null } {
  const last = text.trim().split('\n').at(-1)!;
  const json = text.trimStart().startsWith('{') ? text : last.replace(/^data: /, '');
  return (JSON.parse(json) as { error: { message: string; type: string; param: string | null; code: string | null } }).error;
}

/** The text of a response, streaming or not. */
export function contentOf(text: string): string {
  if (text.trimStart().startsWith('{') || text.startsWith('\uFEFF')) {
    const { choices } = JSON.parse(text.replace('\uFEFF', '')) as { choices: { message: { content: string | null } }[] };
    return choices[0]?.message.content ?? '';
  }
  let content = '';
  for (const line of text.split(/\r?\n/)) {
    if (!line.startsWith('data: {')) continue;
    const { choices } = JSON.parse(line.slice(6)) as { choices?: { delta: { content?: string | null } }[] };
    content += choices?.[0]?.delta.content ?? '';
  }
  return content;
}

/** Waits until `isSo`, for effects that take a moment on a socket; fails after two seconds. */
export async function eventually(isSo: () => boolean, what: string): Promise<void> {
  const until = performance.now() + 2000;
  while (!isSo()) {
    if (performance.now() > until) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
