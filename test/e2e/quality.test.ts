/** Answers that are not good enough: each rule, plain and streamed, with exact upstream counts, over real sockets. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { CASES, poorAt } from './quality-cases.ts';
import type { Quality } from './quality-cases.ts';
import { askBySdk } from './sdk-caller.ts';
import { contentOf, startWorld } from './world.ts';
import type { Seen, World } from './world.ts';

const callsOf = (world: World): number[] => Object.values(world.storms).map((storm) => storm.stats().calls);

function assertAnswered(seen: Seen, by: string, attempts: number, fallback: string | null, mark: string | null): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), by);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-breakwater-fallback'), fallback);
  assert.equal(seen.headers.get('x-breakwater-quality'), mark);
}

for (const stream of [false, true]) {
  describe(`${stream ? 'a buffered stream' : 'a plain answer'} that is not good enough`, { concurrency: 4 }, () => {
    for (const { name, kind, quality, mark, body = {} } of CASES) {
      const config = { policy: { quality: { ...quality, buffer: stream } } };

      it(`is asked for elsewhere: ${name}`, async (t) => {
        const world = await startWorld(t, { storms: { a: poorAt(kind), b: {} }, config });
        const seen = await world.ask({ ...body, stream });
        assertAnswered(seen, 'b/m', 2, 'quality', null);
        assert.notEqual(contentOf(seen.text), '');
        assert.deepEqual(callsOf(world), [1, 1]);
        const [failed, answered] = world.eventsOf('attempt_end');
        assert.deepEqual([failed?.verdict, failed?.reason, failed?.failure, failed?.quality], ['switch', 'quality', 'failed_check', mark]);
        assert.deepEqual([answered?.verdict, answered?.quality], ['success', null]);
        const [target] = world.gateway.targets();
        assert.deepEqual(target?.failedQualityChecks, { [mark]: 1 });
        assert.equal(target?.breaker.failureRatio, 0);
      });

      it(`is passed on and marked if nobody does better: ${name}`, async (t) => {
        const world = await startWorld(t, {
          storms: { a: poorAt(kind), b: poorAt('500') },
          config: { policy: { ...config.policy, maxAttempts: 2 } },
        });
        const seen = await world.ask({ ...body, stream });
        assertAnswered(seen, 'a/m', 2, null, mark);
        assert.deepEqual(callsOf(world), [1, 1]);
        if (stream) assert.ok(seen.text.trimEnd().endsWith('data: [DONE]'));
      });

      it(`costs one call where there is one target: ${name}`, async (t) => {
        const world = await startWorld(t, { storms: { a: poorAt(kind) }, config });
        assertAnswered(await world.ask({ ...body, stream }), 'a/m', 1, null, mark);
        assert.deepEqual(callsOf(world), [1]);
      });
    }
  });
}

describe('the best of several poor answers', () => {
  const echo = (text: string) => [{ role: 'user', content: `echo ${text}` }];
  const threeOf = (t: TestContext, texts: readonly string[], quality: Quality) =>
    startWorld(t, {
      storms: { a: {}, b: {}, c: {} },
      models: { fast: texts.map((text, i) => ({ target: `${'abc'[i]!}/m`, set: { messages: echo(text) } })) },
      config: { policy: { quality } },
    });

  it('is the longest', async (t) => {
    const world = await threeOf(t, ['Short.', 'Not quite as short.', 'Short too.'], { minLength: 60 });
    const seen = await world.ask({ max_tokens: 200 });
    assertAnswered(seen, 'b/m', 3, 'quality', 'short');
    assert.deepEqual([contentOf(seen.text), callsOf(world)], ['Not quite as short.', [1, 1, 1]]);
  });

  it('is the earliest of those that are alike', async (t) => {
    const world = await threeOf(t, ['Short 1.', 'Short 2.', 'Short 3.'], { minLength: 60 });
    assertAnswered(await world.ask({ max_tokens: 200 }), 'a/m', 3, null, 'short');
  });

  it('is any answer before a refusal, and a refusal before nothing', async (t) => {
    const refusal = "I'm sorry, but I can't help with that, whoever asks.";
    const world = await threeOf(t, [refusal, 'No.', refusal], { rejectRefusal: true, minLength: 60 });
    assertAnswered(await world.ask({ max_tokens: 200 }), 'b/m', 3, 'quality', 'short');
    const empty = await startWorld(t, {
      storms: { a: poorAt('empty'), b: poorAt('refusal') },
      config: { policy: { quality: { rejectRefusal: true } } },
    });
    assertAnswered(await empty.ask(), 'b/m', 3, 'empty', 'refused');
  });

  it('goes out although the last word was an error of the request', async (t) => {
    const world = await startWorld(t, {
      storms: { a: poorAt('prose'), b: poorAt('400') },
      config: { policy: { quality: { minLength: 60 } } },
    });
    assertAnswered(await world.ask(), 'a/m', 2, null, 'short');
  });

  it('keeps what its provider said of it', async (t) => {
    const world = await startWorld(t, {
      storms: { a: poorAt('prose') },
      config: { policy: { quality: { minLength: 60 } }, prices: { m: { input: 1, output: 1 } } },
    });
    const seen = await world.ask();
    assert.notEqual(seen.headers.get('x-upstream-request-id'), null);
    assert.ok(Number(seen.headers.get('x-breakwater-cost-usd')) > 0);
    assert.equal(Number(seen.headers.get('content-length')), Buffer.byteLength(seen.text));
    assert.match(world.eventsOf('note').at(-1)!.note, /no better response/);
  });
});

it('a model has settings of its own, and so has a provider', async (t) => {
  const world = await startWorld(t, {
    storms: { a: poorAt('prose'), b: {} },
    models: {
      strict: { targets: ['a/m', 'b/m'], quality: { minLength: 60 } },
      calm: { targets: ['a/m', 'b/m'], quality: { minLength: 0, mustNotMatch: [] } },
    },
    providers: { a: { quality: { mustNotMatch: ['asked'] } } },
  });
  const targetOf = async (model: string) => (await world.ask({ model, max_tokens: 200 })).headers.get('x-breakwater-target');
  assert.deepEqual([await targetOf('strict'), await targetOf('calm'), await targetOf('a/m')], ['b/m', 'a/m', 'a/m']);
  assert.equal(world.storms['b']!.stats().calls, 1);
});

it('completions are judged, embeddings are not', async (t) => {
  const world = await startWorld(t, {
    storms: { a: poorAt('prose'), b: {} },
    config: { policy: { quality: { minLength: 60, mustMatch: ['.'] } } },
  });
  const completion = await world.post('/v1/completions', { model: 'fast', prompt: 'Say something.', max_tokens: 200 });
  assert.equal(completion.headers.get('x-breakwater-target'), 'b/m');
  const embedding = await world.post('/v1/embeddings', { model: 'a/m', input: 'x' });
  assert.deepEqual([embedding.status, embedding.headers.get('x-breakwater-quality')], [200, null]);
});

it('what a target lacked is shown: admin, metrics, timeline', async (t) => {
  const world = await startWorld(t, {
    storms: { a: poorAt('prose'), b: {} },
    config: { policy: { quality: { minLength: 60 } } },
    timelines: true,
  });
  const seen = await world.ask({ max_tokens: 200 });
  const { targets } = (await (await fetch(`${world.url}/admin/targets`)).json()) as {
    targets: { target: string; failedQualityChecks: object }[];
  };
  assert.deepEqual(
    targets.map(({ target, failedQualityChecks }) => [target, failedQualityChecks]),
    [
      ['a/m', { short: 1 }],
      ['b/m', {}],
    ],
  );
  const timeline = await (await fetch(`${world.url}/admin/requests/${seen.headers.get('x-request-id')}`)).text();
  assert.match(
    timeline,
    /only another target may work \(quality, status 200, failed_check, in phase answer\): the response is shorter than required/,
  );
});

it('of a thousand answers, three in ten of them bad, none that is bad is delivered', async (t) => {
  const bad = {
    kind: 'mix',
    probability: 0.3,
    of: { truncated: 1, refusal: 1, repetition: 1, empty: 1, prose: 1, 'content-filter': 1 },
  } as const;
  const quality = { rejectTruncated: true, rejectRefusal: true, minLength: 60, buffer: true };
  const world = await startWorld(t, { storms: { a: { faults: [bad] }, b: {} }, config: { policy: { quality } } });
  const ask = async (i: number): Promise<void> => {
    const messages = [{ role: 'user', content: `Say something, ${i}.` }];
    const seen = await askBySdk(world.openai, { model: 'fast', stream: i % 2 === 0, max_tokens: 200, messages });
    assert.equal(seen.end, 'answer');
    assert.deepEqual([seen.headers.get('x-breakwater-quality'), seen.said.length, seen.said[0]?.finish], [null, 1, 'stop']);
    assert.ok(seen.said[0]!.content.length >= 60 && seen.said[0]!.refusal === '');
  };
  for (let i = 0; i < 1_000; i += 10) await Promise.all(Array.from({ length: 10 }, (_, k) => ask(i + k)));
  const failedQualityChecks = world.gateway.targets()[0]!.failedQualityChecks;
  const poor = Object.values(failedQualityChecks).reduce((sum, count) => sum + count, 0);
  assert.ok(poor > 250 && poor < 350, `${poor} bad answers`);
  assert.deepEqual(callsOf(world), [1_000, poor]);
  assert.deepEqual(Object.keys(failedQualityChecks).toSorted(), ['empty', 'refused', 'repetition', 'short', 'truncated']);
});
