/** docs/recipes.md: each config is valid, and does what its text promises. Remote providers are simulated, in virtual time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { createBreakwater } from '../src/index.ts';
import { parseConfig, type ConfigInput } from '../src/gateway/config/index.ts';
import { createSimulation, type ProviderBehaviour, type SimulatedCaller, type SimulatedRequest } from '../src/testing/index.ts';

const page = readFileSync(new URL('../docs/recipes.md', import.meta.url), 'utf8');
const configs = new Map(
  page
    .split('\n## ')
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), /```yaml\n([^]*?)```/.exec(section)?.[1] ?? '']),
);

function configOf(heading: string): ConfigInput {
  const text = configs.get(heading) ?? assert.fail(`no recipe ${heading}`);
  return parse(text.replaceAll(/\$\{(\w+)\}/g, 'secret-$1')) as ConfigInput;
}

test('every recipe has a config, and every config is valid', () => {
  assert.ok(configs.size >= 10);
  for (const heading of configs.keys()) {
    const parsed = parseConfig(configOf(heading), { source: 'library' });
    assert.deepEqual(parsed.ok ? [] : parsed.faults, [], heading);
  }
});

interface Trial {
  readonly model?: string;
  readonly requests?: number;
  readonly client?: string;
}

/** Sends requests within a minute against the config of a recipe. */
async function play(
  heading: string,
  { model = 'fast', requests = 10, client }: Trial,
  providers: Readonly<Record<string, ProviderBehaviour>> = {},
) {
  const config = { ...configOf(heading), store: 'memory:' };
  const simulation = await createSimulation({ config, providers });
  const sent = Array.from({ length: requests }, (_, at) => requestAt(at, at * (60_000 / requests), model, client ?? null));
  const callers: SimulatedCaller[] = [];
  await simulation.play(sent, (caller) => void callers.push(caller));
  await simulation.close();
  const countOf = (provider: string) => simulation.providers.get(provider)?.count ?? assert.fail(provider);
  return { statuses: [...new Set(callers.map(({ status }) => status))], callers, countOf };
}

function requestAt(at: number, atMs: number, model: string, client: string | null): SimulatedRequest {
  const common = { priority: null, deadlineMs: null, stream: false, inputTokens: 100, outputBound: 50, leavesAfterMs: null };
  return { id: `r${at}`, atMs, model, client, ...common };
}

const DOWN: ProviderBehaviour = { faults: [{ kind: 'server_error' }] };

test('queue instead of 429: a minute of more than the limit is queued and served, and the provider refuses nothing', async () => {
  const limits = { requestsPerMinute: 60, concurrency: 8 };
  const { statuses, countOf } = await play('Queue instead of 429', { requests: 100 }, { openai: { limits } });
  assert.deepEqual(statuses, [200]);
  assert.equal(countOf('openai').violations, 0);
});

test('a cheap fallback: it serves while the first provider is down, and names the reason', async () => {
  const { statuses, callers, countOf } = await play('A cheap fallback', { model: 'smart' }, { openai: DOWN });
  assert.deepEqual(statuses, [200]);
  assert.ok(countOf('groq').calls >= 10);
  assert.equal(callers[0]?.responseHeader('x-breakwater-fallback'), 'server_error');
});

test('a local model as the last resort: it summarizes while the provider is unreachable', async () => {
  const config = configOf('A local model as the last resort');
  const breakwater = await createBreakwater({ ...config, providers: { openai: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k' } } });
  try {
    const content = 'The harbour froze in January. The ferries waited for three weeks. In February the ice broke, and they left at once.';
    const body = JSON.stringify({ model: 'summary', messages: [{ role: 'user', content }] });
    const response = await breakwater.fetch('http://breakwater/v1/chat/completions', { method: 'POST', body });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-breakwater-target'), 'local/extract');
  } finally {
    await breakwater.close();
  }
});

test('several keys: together they have twice the limit of one', async () => {
  const limits = { requestsPerMinute: 60 };
  const { statuses, countOf } = await play('Several keys', { requests: 120 }, { openai: { limits } });
  assert.deepEqual(statuses, [200]);
  assert.equal(countOf('openai').violations, 0);
});

test('agents: another vendor serves while the first is down', async () => {
  const trial = { model: 'claude-haiku-4-5', client: 'agents' };
  assert.deepEqual((await play('Agents', trial, { claude: DOWN })).statuses, [200]);
});

test('the remaining recipes serve their clients', async () => {
  for (const client of ['web', 'nightly']) assert.deepEqual((await play('Budgets', { client })).statuses, [200], client);
  assert.deepEqual((await play('Two instances', { client: 'web' })).statuses, [200]);
  assert.deepEqual((await play('Batches', {})).statuses, [200]);
});

test('fast tail: while one provider is silent, the other serves', async () => {
  const { statuses } = await play('Lower tail latency, at a cost', {}, { openai: { faults: [{ kind: 'silence' }] } });
  assert.deepEqual(statuses, [200]);
});

test('only good responses: an empty response is replaced by that of the next target', async () => {
  const { statuses, callers } = await play('Only good responses', { model: 'extract' }, { groq: { faults: [{ kind: 'empty' }] } });
  assert.deepEqual(statuses, [200]);
  for (const caller of callers) assert.equal(caller.responseHeader('x-breakwater-target'), 'openai/gpt-4o-mini');
});
