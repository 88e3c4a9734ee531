/** Runs one story twice: over a real socket, and in process through `createFetch`. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { createApp, type AppOptions } from '../../src/server/app.ts';
import { createFetch } from '../../src/server/fetch.ts';
import { listen } from '../../src/server/listener.ts';
import { listenerOfTests } from './listener-of-tests.ts';
import { createFakeGateway, type FakeGateway } from './fake-gateway.ts';

export interface Stage {
  readonly gateway: FakeGateway;
  /** Fetches a path of the app under test. */
  readonly fetch: (path: string, init?: RequestInit) => Promise<Response>;
  /** Where it listens; in process a name that nobody resolves. */
  readonly origin: string;
}

export interface StageOptions extends Partial<Omit<AppOptions, 'gateway' | 'random'>> {
  readonly config?: ConfigInput;
}

type Story = (stage: Stage, t: TestContext) => Promise<void>;

export function bothWays(name: string, options: StageOptions, story: Story): void {
  overSocket(name, options, story);
  inProcess(name, options, story);
}

export function overSocket(name: string, options: StageOptions, story: Story): void {
  test(`${name} (socket)`, async (t) => {
    const gateway = createFakeGateway(options.config);
    const app = createApp({ boundHost: '127.0.0.1', ...options, gateway, random: createSeededRandom(1) });
    const listener = await listen({
      host: '127.0.0.1',
      port: 0,
      handle: app.handle,
      answerBroken: app.answerBroken,
      ...listenerOfTests(),
      onError: assert.fail,
    });
    t.after(async () => {
      const closed = listener.close();
      listener.destroy();
      await closed;
    });
    const origin = `http://127.0.0.1:${listener.port}`;
    await story({ gateway, origin, fetch: (path, init) => fetch(origin + path, init) }, t);
  });
}

export function inProcess(name: string, options: StageOptions, story: Story): void {
  test(`${name} (in process)`, async (t) => {
    const gateway = createFakeGateway(options.config);
    const app = createApp({ ...options, gateway, random: createSeededRandom(1) });
    const origin = 'http://breakwater';
    const fetchInProcess = createFetch(app);
    await story({ gateway, origin, fetch: (path, init) => fetchInProcess(origin + path, init) }, t);
  });
}

/** A small chat request. */
export function chat(body: object = {}, headers: Record<string, string> = {}): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'fast', messages: [{ role: 'user', content: 'hi' }], ...body }),
  };
}
