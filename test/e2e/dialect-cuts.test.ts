/** A stream that breaks off at any byte, and one that comes in any pieces, between a caller and a provider of either dialect. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedStep } from '../../src/testing/simulated-upstream.ts';
import { CALLERS } from './dialect-callers.ts';
import type { CallerName } from './dialect-callers.ts';
import { richChat, richMessage } from './dialect-rich.ts';
import { FOREIGN, headStep, RESET } from './dialect-wires.ts';
import { startVirtualWorld } from './virtual.ts';

interface Play {
  readonly pieces: readonly Uint8Array[];
  readonly end?: SimulatedStep;
}

const STREAMS: Readonly<Record<CallerName, Buffer>> = { openai: Buffer.from(richChat(true)), anthropic: Buffer.from(richMessage(true)) };
/** Where the event with the reason to stop begins; what is cut before it has no end. */
const FINISH: Readonly<Record<CallerName, string>> = { openai: '"finish_reason":"tool_calls"', anthropic: 'event: message_delta' };
const AT_ONCE = 200;

/** Plays each stream to a request of its own; gives the bodies that the caller got. */
async function replay(t: TestContext, caller: CallerName, target: CallerName, plays: readonly Play[]): Promise<string[]> {
  let batch: readonly Play[] = [];
  const breaker = { failureRatio: 1, minRequests: 100_000, consecutiveFailures: 100_000 };
  const world = await startVirtualWorld(t, {
    providers: {
      a(call) {
        const { pieces, end } = batch[Number(/"user(?:_id)?":"(\d+)"/.exec(call.body)![1])]!;
        const steps: SimulatedStep[] = pieces.flatMap((bytes): SimulatedStep[] => [
          { do: 'send', bytes },
          { do: 'wait', ms: 1 },
        ]);
        return { steps: [headStep(true), ...steps, ...(end === undefined ? [] : [end])] };
      },
    },
    configured: { a: { protocol: target, baseUrl: target === 'openai' ? 'http://a/v1' : 'http://a', apiKey: 'sk-a' } },
    models: { fast: ['a/m'] },
    config: { policy: { maxAttempts: 1, breaker } },
  });
  const ask = async (user: string): Promise<string> => {
    const named = caller === 'openai' ? { user, stream_options: { include_usage: true } } : { metadata: { user_id: user } };
    const body = { model: 'fast', max_tokens: 50, stream: true, messages: [{ role: 'user', content: 'Hi' }], ...named };
    const path = caller === 'openai' ? '/v1/chat/completions' : '/v1/messages';
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    return (await world.fetch(`http://breakwater${path}`, init)).text();
  };
  const got: string[] = [];
  for (let from = 0; from < plays.length; from += AT_ONCE) {
    batch = plays.slice(from, from + AT_ONCE);
    got.push(...(await world.until(Promise.all(batch.map((_, i) => ask(String(i)))))));
    world.events.length = 0;
  }
  return got;
}

/** What of a response tells one request from another. */
const withoutIds = (text: string): string => text.replaceAll(/^:.*\n\n/gm, '').replaceAll(/"created":\d+/g, '"created":0');

for (const caller of CALLERS) {
  for (const target of CALLERS) {
    describe(`a stream of a provider that speaks ${target}, for a caller that speaks ${caller}`, () => {
      const whole = STREAMS[target];
      const finishAt = whole.indexOf(FINISH[target]);

      for (const end of ['close', 'reset'] as const) {
        it(`ends in an error wherever it is cut by a ${end}, and never looks whole`, async (t) => {
          // Every byte of the last events, where most can go wrong; every third before.
          const cuts = Array.from({ length: finishAt }, (_, i) => i).filter((at) => at % 3 === 0 || at > finishAt - 300);
          const plays = cuts.map((at): Play => ({ pieces: [whole.subarray(0, at)], ...(end === 'reset' && { end: RESET }) }));
          const all = await replay(t, caller, target, plays);
          for (const [i, text] of all.entries()) {
            const where = `cut at ${cuts[i]}: ${text.slice(-300)}`;
            assert.doesNotMatch(text, caller === 'openai' ? /\[DONE\]|"finish_reason":"/ : /message_stop|"stop_reason":"/, where);
            assert.match(
              text.trim().split('\n').at(-1)!,
              caller === 'openai' ? /^(data: )?\{"error":/ : /^(data: )?\{"type":"error"/,
              where,
            );
            assert.doesNotMatch(text, FOREIGN[caller], where);
          }
        });
      }

      it('is the same in any pieces', async (t) => {
        const plays = [1, 2, 3, 7, 50, 333, whole.length].map((size): Play => ({
          pieces: Array.from({ length: Math.ceil(whole.length / size) }, (_, i) => whole.subarray(i * size, (i + 1) * size)),
        }));
        const [first, ...others] = (await replay(t, caller, target, plays)).map(withoutIds);
        assert.match(first!, caller === 'openai' ? /data: \[DONE\]\n\n$/ : /event: message_stop\n.*\n\n$/);
        for (const [i, other] of others.entries()) assert.equal(other, first, `play ${i + 1}`);
        if (caller === target) assert.equal(first, withoutIds(whole.toString()));
      });
    });
  }
}
