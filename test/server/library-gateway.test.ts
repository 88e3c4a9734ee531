/** A library that uses a running gateway, and goes on without it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import OpenAI from 'openai';
import { createBreakwater, type Breakwater, type BreakwaterOptions, type LibraryConfig } from '../../src/index.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { GatewayShare } from '../../src/server/library/gateway-share.ts';
import { createMemoryStore } from '../../src/store/memory/memory-store.ts';
import { startStorm, type Storm, type StormOptions } from '../../src/storm/index.ts';
import { startCli, type CliProcess } from '../cli/run-cli.ts';
import { freePort } from '../redis/server.ts';

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const messages = [{ role: 'user' as const, content: 'hi' }];

interface Stage {
  readonly storm: Storm;
  readonly url: string;
  readonly start: () => Promise<CliProcess>;
  readonly library: (
    more?: Partial<LibraryConfig>,
    options?: BreakwaterOptions,
  ) => Promise<{ breakwater: Breakwater; openai: OpenAI; local: () => number; warnings: string[] }>;
}

async function stage(
  t: TestContext,
  options: StormOptions = {},
  limits: object = {},
  clients: LibraryConfig['clients'] = [],
): Promise<Stage> {
  const storm = await startStorm({ name: 'p', ...options });
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-library-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = {
    providers: { p: { protocol: 'openai' as const, baseUrl: storm.url, apiKey: 'sk-test', limits } },
    models: { fast: ['p/m'] },
  };
  const server = { server: { port }, clients, telemetry: { logs: { level: 'error' } } };
  await writeFile(join(cwd, 'breakwater.json'), JSON.stringify({ ...config, ...server }));
  const running: CliProcess[] = [];
  t.after(async () => {
    for (const cli of running) cli.child.kill('SIGKILL');
    await storm.close();
    await rm(cwd, { recursive: true, force: true });
  });
  return {
    storm,
    url,
    async start() {
      const cli = startCli(['serve'], { cwd });
      running.push(cli);
      await cli.until('stdout', /listening on/);
      return cli;
    },
    async library(more = {}, options = {}) {
      const breakwater = await createBreakwater({ ...config, gateway: url, ...more }, options);
      t.after(() => breakwater.close());
      let local = 0;
      const warnings: string[] = [];
      breakwater.on('attempt', () => void local++);
      breakwater.on('warning', ({ message }) => void warnings.push(message));
      const openai = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'k-web', fetch: breakwater.fetch, maxRetries: 0 });
      return { breakwater, openai, local: () => local, warnings };
    },
  };
}

void test('the gateway answers while it is alive; killed under load no request fails, and the limits hold', async (t) => {
  const limits = { requestsPerMinute: 1_200, burst: 0.05 };
  const { storm, start, library } = await stage(t, { limits, timing: { plainMs: 150 } }, limits);
  const gateway = await start();
  const { openai, local, warnings } = await library();
  const asked: Promise<unknown>[] = [];
  const ask = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      asked.push(openai.chat.completions.create({ model: 'fast', messages }));
      await wait(80);
    }
  };
  await ask(25);
  assert.equal(local(), 0, 'the gateway makes the calls');
  gateway.child.kill('SIGKILL');
  await ask(25);
  await Promise.all(asked);
  assert.ok(local() > 20, `${local()} calls of its own`);
  const again = await start();
  for (const until = performance.now() + 5_000; warnings.length < 2 && performance.now() < until;) await ask(1);
  const before = local();
  await ask(10);
  again.child.kill('SIGTERM');
  await ask(20);
  await Promise.all(asked);
  assert.ok(local() >= before + 10);
  assert.equal(storm.stats().violations.total, 0);
  assert.match(warnings[0]!, /does not answer: requests run in this process, with 1\/1 of each limit/);
  assert.match(warnings[1]!, /answers again/);
});

void test('libraries that lose their gateway share its limits', async (t) => {
  const limits = { concurrency: 4 };
  const { storm, start, library } = await stage(t, { limits, timing: { plainMs: 200 } }, limits);
  const gateway = await start();
  const libraries = [await library(), await library()];
  // Each is counted at the gateway once a second.
  await wait(1_500);
  gateway.child.kill('SIGKILL');
  await gateway.ended;
  const answers = libraries.flatMap(({ openai }) =>
    Array.from({ length: 10 }, () => openai.chat.completions.create({ model: 'fast', messages })),
  );
  await Promise.all(answers);
  assert.deepEqual([storm.stats().violations.total, storm.stats().maxRunning], [0, 4]);
  assert.match(libraries[0]!.warnings[0]!, /1\/2 of each limit/);
});

void test('a gateway that freezes is left after two looks, also by what it was asked before', async (t) => {
  const { start, library, storm } = await stage(t, { timing: { plainMs: 20 } });
  const gateway = await start();
  const { openai, local } = await library();
  await openai.chat.completions.create({ model: 'fast', messages });
  gateway.child.kill('SIGSTOP');
  const startedAt = performance.now();
  const answer = await openai.chat.completions.create({ model: 'fast', messages });
  assert.ok(answer.choices[0]!.message.content!.length > 0);
  assert.ok(performance.now() - startedAt < 6_000);
  assert.equal(local(), 1);
  assert.equal(storm.stats().calls, 2);
  gateway.child.kill('SIGCONT');
});

void test('streams, errors and keys go through as the gateway has them; what it keeps is not made up without it', async (t) => {
  const clients = [{ name: 'web', key: 'k-web' }];
  const { start, library, storm } = await stage(t, {}, {}, clients);
  const gateway = await start();
  const { openai, local } = await library();
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ model: 'fast', messages, stream: true }))
    text += chunk.choices[0]?.delta.content ?? '';
  assert.ok(text.length > 0);
  await assert.rejects(openai.chat.completions.create({ model: 'none', messages }), { status: 404, code: 'model_not_found' });
  await assert.rejects(library({ gateway: 'ftp://x' }), /expected the address of a running gateway/);
  assert.equal(local(), 0);
  gateway.child.kill('SIGKILL');
  await gateway.ended;
  await assert.rejects(openai.batches.list(), { status: 503, code: 'store_unavailable' });
  await assert.rejects(openai.responses.create({ model: 'fast', input: 'x', background: true }), { status: 503 });
  text = '';
  for await (const chunk of await openai.chat.completions.create({ model: 'fast', messages, stream: true }))
    text += chunk.choices[0]?.delta.content ?? '';
  assert.ok(text.length > 0);
  assert.equal(storm.stats().calls, 2);
});

void test('a gateway that shuts down ends what it has begun: no call is made twice', async (t) => {
  const { start, library, storm } = await stage(t, { timing: { plainMs: 2_500 } });
  const gateway = await start();
  const { openai, local } = await library();
  const asked = openai.chat.completions.create({ model: 'fast', messages });
  while (storm.stats().running === 0) await wait(10);
  gateway.child.kill('SIGTERM');
  assert.ok((await asked).choices[0]!.message.content!.length > 0);
  assert.deepEqual([storm.stats().calls, local()], [1, 0]);
});

void test('a caller that leaves ends the call at the gateway', async (t) => {
  const { start, library, storm } = await stage(t, { timing: { plainMs: 5_000 } });
  await start();
  const { breakwater } = await library();
  const abort = new AbortController();
  const body = JSON.stringify({ model: 'fast', messages });
  const asked = breakwater.fetch('http://breakwater/v1/chat/completions', {
    method: 'POST',
    body,
    signal: abort.signal,
    headers: { 'content-type': 'application/json' },
  });
  while (storm.stats().running === 0) await wait(10);
  abort.abort();
  await assert.rejects(asked, { name: 'AbortError' });
  while (storm.stats().running > 0) await wait(10);
  assert.equal(storm.stats().aborted, 1);
});

void test('without its gateway from the beginning a library runs its requests itself', async (t) => {
  const { library } = await stage(t);
  const { openai, local, warnings } = await library();
  await openai.chat.completions.create({ model: 'fast', messages });
  assert.equal(local(), 1);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /does not answer: requests run in this process, with 1\/1 of each limit/);
});

void test('without its gateway a library names the limits that hold: of its expected instances, or of its own store', async (t) => {
  const { library } = await stage(t);
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-library-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const cases = [
    [{ cluster: { expectedInstances: 3 } }, {}, /with 1\/3 of each limit$/],
    [{ cluster: { expectedInstances: 2 }, store: `sqlite:${join(folder, 'library.db')}` }, {}, /with 1\/2 of each limit$/],
    [{}, { store: createMemoryStore({ clock: systemClock }) }, /with the whole of each limit$/],
    [{}, { store: createMemoryStore({ clock: systemClock, shared: new GatewayShare(() => 1) }) }, /with the limits that its store shares$/],
  ] as const;
  for (const [config, options, expected] of cases) {
    const { openai, warnings } = await library(config, options);
    await openai.chat.completions.create({ model: 'fast', messages });
    assert.match(warnings[0] ?? '', expected);
  }
});
