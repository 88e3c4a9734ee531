/**
 * The story that this project exists for, with the default policy and in real time: 300 articles are summarized through
 * the official SDK over two flaky providers of 60 requests a minute each. Takes about three minutes, most of it waiting.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI from 'openai';
import { startStorm } from '../../src/storm/index.ts';
import type { Storm } from '../../src/storm/index.ts';
import { startGateway } from './harness.ts';

const ARTICLES = 300;
const HIGH_SHARE = 1 / 3;
const HIGH_DEADLINE_MS = 60_000;
const LOW_DEADLINE_MS = 600_000;
const PER_MINUTE = 60;

/** What A loses of its starts: 20 % 429, of the rest 10 % 503, of the rest 2 % silence. */
const A_YIELD = 0.8 * 0.9 * 0.98;

interface Result {
  readonly ok: boolean;
  readonly late: boolean;
  readonly text: string;
}

function startA(): Promise<Storm> {
  return startStorm({
    name: 'a',
    seed: 11,
    limits: { requestsPerMinute: PER_MINUTE },
    timing: { plainMs: { min: 300, max: 1500 } },
    faults: [
      { kind: '429', probability: 0.2 },
      { kind: '503', probability: 0.1 },
      { kind: 'silence', probability: 0.02 },
    ],
  });
}

function startB(): Promise<Storm> {
  return startStorm({ name: 'b', seed: 12, limits: { requestsPerMinute: PER_MINUTE }, timing: { plainMs: { min: 1500, max: 4000 } } });
}

/** Seconds that the limits alone ask for: a full bucket each, then one start a second each. */
function idealSeconds(killAfterSeconds: number): number {
  const both = (ARTICLES - PER_MINUTE * (A_YIELD + 1)) / (A_YIELD + 1);
  if (both <= killAfterSeconds) return both;
  const done = (PER_MINUTE + killAfterSeconds) * (A_YIELD + 1);
  return killAfterSeconds + (ARTICLES - done);
}

async function summarizeAll(url: string): Promise<{ results: Result[]; seconds: number }> {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused' });
  const started = performance.now();
  const results = await Promise.all(
    Array.from({ length: ARTICLES }, async (_, i): Promise<Result> => {
      const isHigh = i % Math.round(1 / HIGH_SHARE) === 0;
      const deadlineMs = isHigh ? HIGH_DEADLINE_MS : LOW_DEADLINE_MS;
      const headers = { 'x-breakwater-priority': isHigh ? 'high' : 'low', 'x-breakwater-deadline-ms': String(deadlineMs) };
      try {
        const messages = [{ role: 'user' as const, content: `Summarize article ${i}: ${'The harbour was quiet. '.repeat(20)}` }];
        const answer = await openai.chat.completions.create({ model: 'summarize', messages, max_tokens: 60 }, { headers });
        const late = performance.now() - started > deadlineMs;
        return { ok: true, late, text: answer.choices[0]?.message.content ?? '' };
      } catch (error) {
        return { ok: false, late: false, text: String(error) };
      }
    }),
  );
  return { results, seconds: (performance.now() - started) / 1000 };
}

async function tellStory(killAfterSeconds: number): Promise<void> {
  const [a, b] = await Promise.all([startA(), startB()]);
  const gateway = await startGateway({
    providers: {
      a: { protocol: 'openai', baseUrl: a.url, apiKey: 'sk-a', limits: { requestsPerMinute: PER_MINUTE } },
      b: { protocol: 'openai', baseUrl: b.url, apiKey: 'sk-b', limits: { requestsPerMinute: PER_MINUTE } },
    },
    models: { summarize: ['a/storm-small', 'b/storm-small'] },
  });
  const kill = killAfterSeconds === Infinity ? undefined : setTimeout(() => void a.setDown(true), killAfterSeconds * 1000);
  try {
    const { results, seconds } = await summarizeAll(gateway.url);
    const failed = results.filter((result) => !result.ok);
    assert.deepEqual(
      failed.map((result) => result.text),
      [],
      'every article is answered',
    );
    assert.ok(results.every((result) => result.text !== ''));
    assert.equal(results.filter((result) => result.late).length, 0, 'every answer is within its deadline');
    const [statsA, statsB] = [a.stats(), b.stats()];
    assert.equal(statsA.violations.total, 0, 'A never saw more than its limit');
    assert.equal(statsB.violations.total, 0, 'B never saw more than its limit');
    const calls = gateway.eventsOf('attempt').length;
    const ideal = idealSeconds(killAfterSeconds);
    console.log(
      `${seconds.toFixed(1)} s, ideal ${ideal.toFixed(1)} s, ratio ${(seconds / ideal).toFixed(3)}; ${calls} calls for ${ARTICLES}`,
    );
    assert.ok(calls <= 1.3 * ARTICLES, `${calls} upstream calls`);
    assert.ok(seconds <= 1.15 * ideal, `took ${seconds} s, ideal ${ideal} s`);
    assert.equal(gateway.gateway.queue().waiting, 0);
    assert.ok(gateway.gateway.targets().every((target) => target.inFlight === 0));
  } finally {
    clearTimeout(kill);
    await gateway.close();
    await Promise.all([a.close(), b.close()]);
  }
}

describe('300 articles over two flaky providers', { concurrency: true }, () => {
  it('are all summarized in time, within the limits, close to the ideal', () => tellStory(Infinity));
  it('are all summarized in time when A dies in the middle', () => tellStory(60));
});
