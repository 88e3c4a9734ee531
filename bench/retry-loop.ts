/**
 * What callers get from a flaky provider: with the two retries of OpenAI's SDK alone, and with Breakwater in between, without and with a second
 * provider. Real sockets and real time; each row is two minutes of the same load. Part of `npm run bench`; alone it prints its rows as JSON.
 * `--quick`: 20 seconds.
 */
import { parseArgs } from 'node:util';
import OpenAI from 'openai';
import { createBreakwater } from '../src/index.ts';
import { startStorm, type Storm } from '../src/storm/index.ts';
import type { Rows } from './alone.ts';
import { quantile } from './quantile.ts';

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const seconds = options.quick ? 20 : 120;
/** Less than the provider allows on average, but in bursts, as a page with several prompts or an agent with sub-agents sends them. */
const burst = { requests: 16, everyMs: 4000 };
const limits = { requestsPerMinute: 300, burst: 0.02 };
/** The timeout of every call of the SDK, for either way. */
const timeoutMs = 20_000;

/** All at once: each has providers of its own, and the load is light. */
const ways: Readonly<Record<string, Promise<Rows[string]>>> = {
  'SDK, 2 retries': measure(({ url }) => Promise.resolve({ settings: { baseURL: url }, close: async () => {} }), 2),
  'Breakwater, limits unknown': measure((storm) => through([storm], {}), 0),
  'Breakwater, limits configured': measure((storm) => through([storm], limits), 0),
  'Breakwater, a fallback': measure((storm, backup) => through([storm, backup], limits), 0),
};
const rows: Record<string, Rows[string]> = {};
for (const [name, way] of Object.entries(ways)) rows[name] = await way;
process.stdout.write(JSON.stringify(rows));

interface Way {
  readonly settings: { readonly baseURL: string; readonly fetch?: typeof fetch };
  close(): Promise<void>;
}

async function measure(open: (flaky: Storm, backup: Storm) => Promise<Way>, maxRetries: number): Promise<Rows[string]> {
  const timing = { headersMs: 300 };
  const faults = [
    { kind: '503', probability: 0.1 },
    { kind: 'silence', probability: 0.02 },
  ] as const;
  const flaky = await startStorm({ name: 'flaky', limits, timing, faults: [...faults] });
  const backup = await startStorm({ name: 'backup', limits, timing });
  const way = await open(flaky, backup);
  const sdk = new OpenAI({ ...way.settings, apiKey: 'key', maxRetries, timeout: timeoutMs });
  const tookMs: number[] = [];
  const sent: Promise<void>[] = [];
  for (let atMs = 0; atMs < seconds * 1000; atMs += burst.everyMs) {
    for (let i = 0; i < burst.requests; i++) sent.push(send(sdk, tookMs));
    await new Promise((resolve) => setTimeout(resolve, burst.everyMs));
  }
  await Promise.all(sent);
  const calls = flaky.stats().calls + backup.stats().calls;
  await way.close();
  await Promise.all([flaky.close(), backup.close()]);
  return {
    'success %': (100 * tookMs.length) / sent.length,
    'p50 ms': quantile(tookMs, 0.5),
    'p95 ms': quantile(tookMs, 0.95),
    'calls per success': calls / tookMs.length,
  };
}

async function send(sdk: OpenAI, tookMs: number[]): Promise<void> {
  const startedAt = performance.now();
  try {
    await sdk.chat.completions.create({ model: 'flaky/any', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 20 });
    tookMs.push(performance.now() - startedAt);
  } catch {
    // Counted by its absence.
  }
}

async function through(storms: readonly Storm[], known: Partial<typeof limits>): Promise<Way> {
  const names = ['flaky', 'backup'].slice(0, storms.length);
  const breakwater = await createBreakwater({
    providers: Object.fromEntries(names.map((name, at) => [name, { baseUrl: storms[at]!.url, apiKey: 'key', limits: known }])),
    models: { 'flaky/any': names.map((name) => `${name}/any`) },
  });
  return { settings: { baseURL: 'http://breakwater/v1', fetch: breakwater.fetch }, close: () => breakwater.close() };
}
