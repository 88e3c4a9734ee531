/** An operator's own checks: a function, a module, another model; and the JSON that a request asks for. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { CheckedAnswer } from '../../src/core/quality.ts';
import { parseConfig } from '../../src/gateway/config/index.ts';
import { chatResponse, chatStream } from '../../src/testing/index.ts';
import { startGateway } from './harness.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';
import { contentOf, startWorld } from './world.ts';
import type { WorldOptions } from './world.ts';

type Quality = NonNullable<NonNullable<NonNullable<WorldOptions['config']>['policy']>['quality']>;

const says = (text: string) => () => chatResponse({ words: [text] });

const virtual = (t: TestContext, quality: Quality, options: Partial<VirtualOptions> = {}): Promise<VirtualWorld> =>
  startVirtualWorld(t, { providers: { a: says('bad'), b: says('good') }, config: { policy: { quality } }, ...options });

const notesOf = (world: VirtualWorld): string[] => world.eventsOf('note').map(({ note }) => note);

describe('a check of the library', () => {
  it('decides, and sees answer and request', async (t) => {
    const seen: CheckedAnswer[] = [];
    const check = (answer: CheckedAnswer) => (seen.push(answer), answer.text === 'good');
    const world = await virtual(t, { check });
    const answer = await world.answerTo();
    assert.equal(contentOf(answer.text), 'good');
    assert.equal(answer.headers.get('x-breakwater-fallback'), 'quality');
    assert.deepEqual(
      seen.map(({ text, target, model }) => [text, target, model]),
      [
        ['bad', 'a/m', 'fast'],
        ['good', 'b/m', 'fast'],
      ],
    );
    assert.equal(seen[0]!.request['max_tokens'], 20);
    assert.deepEqual(world.gateway.targets()[0]!.failedQualityChecks, { mismatch: 1 });
  });

  it('may take its time, and a stream that is held back whole is checked too', async (t) => {
    const world = await virtual(
      t,
      { buffer: true, check: async ({ text }) => (await Promise.resolve(text)) === 'good' },
      { providers: { a: () => chatStream({ words: ['bad'] }), b: () => chatStream({ words: ['go', 'od'], gapMs: 50 }) } },
    );
    assert.equal(contentOf((await world.answerTo({ stream: true })).text), 'good');
  });

  it('says no to all: the longest answer goes out, marked', async (t) => {
    const world = await virtual(t, { check: () => false });
    const answer = await world.answerTo();
    assert.equal(contentOf(answer.text), 'good');
    assert.equal(answer.headers.get('x-breakwater-quality'), 'mismatch');
    assert.equal(answer.headers.get('x-breakwater-attempts'), '2');
  });

  for (const [name, check, told] of [
    ['throws', () => assert.fail('out of order'), 'out of order'],
    ['says neither yes nor no', () => 'yes' as unknown as boolean, 'neither true nor false'],
    ['never comes back', () => new Promise<boolean>(() => {}), 'no verdict within 5000 ms'],
  ] as const) {
    it(`that ${name} loses nobody an answer`, async (t) => {
      const world = await virtual(t, { check, checkTimeout: '5s' });
      const answer = await world.answerTo();
      assert.equal(contentOf(answer.text), 'bad');
      assert.equal(answer.headers.get('x-breakwater-quality'), null);
      const warned = world.eventsOf('note').filter(({ notable }) => notable === 'warn');
      assert.deepEqual(
        warned.map(({ note, target }) => [note.includes(told), target]),
        [[true, 'a/m']],
        notesOf(world).join('\n'),
      );
    });
  }

  it('that comes too late undoes nothing', async (t) => {
    let late = (_passes: boolean): void => {};
    const check = ({ text }: CheckedAnswer) => (text === 'bad' ? new Promise<boolean>((resolve) => (late = resolve)) : true);
    const world = await virtual(t, { check, checkTimeout: '1s' });
    assert.equal(contentOf((await world.answerTo()).text), 'bad');
    late(false);
    assert.equal(contentOf((await world.answerTo({ model: 'b/m' })).text), 'good');
  });

  it('never outlasts the deadline: the answer is there by then', async (t) => {
    const world = await virtual(t, { check: () => new Promise<boolean>(() => {}) });
    const answer = await world.answerTo({}, { 'x-breakwater-deadline-ms': '3000' });
    assert.deepEqual([answer.status, answer.endAtMs], [200, 3000]);
  });

  it('holds no place at the provider while it thinks, and ends with its caller', async (t) => {
    let aborted = false;
    const check = ({ signal }: CheckedAnswer) => new Promise<boolean>(() => signal.addEventListener('abort', () => (aborted = true)));
    const world = await virtual(t, { check }, { limits: { concurrency: 1 } });
    const asked = world.ask();
    asked.done.catch(() => {});
    await world.until(new Promise((resolve) => world.clock.schedule(1_000, () => resolve(null))));
    assert.deepEqual([world.gateway.queue().inFlight, world.gateway.targets()[0]!.inFlight], [1, 0]);
    assert.equal(world.gateway.targets()[0]!.limits[0]!.available, 1);
    asked.leave();
    await world.until(asked.done.catch(() => null));
    assert.deepEqual([aborted, world.gateway.queue().inFlight], [true, 0]);
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
  });

  it('is made for four answers of one request at most', async (t) => {
    let checks = 0;
    const providers = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`p${i}`, says('bad')]));
    const world = await virtual(
      t,
      { check: () => (checks++, false) },
      { providers, config: { policy: { maxAttempts: 6, quality: { check: () => (checks++, false) } } } },
    );
    const answer = await world.answerTo();
    assert.deepEqual([checks, answer.headers.get('x-breakwater-target')], [4, 'p4/m']);
  });
});

describe('a check in a module', () => {
  const write = async (t: TestContext, text: string): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), 'breakwater-check-'));
    t.after(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'check.mjs'), text);
    return folder;
  };

  it('is loaded at the start, and decides', async (t) => {
    const folder = await write(t, "export default ({ text }) => text === 'good';");
    const world = await virtual(t, { check: join(folder, 'check.mjs') });
    assert.equal(contentOf((await world.answerTo()).text), 'good');
  });

  it('is looked for beside the config', () => {
    const models = { fast: { targets: ['x/m'], quality: { check: './checks/own.mjs' } } };
    const input = { providers: { x: { protocol: 'openai', baseUrl: 'http://x/v1' } }, policy: { quality: { check: 'a.mjs' } }, models };
    const parsed = parseConfig(input, { source: 'library', directory: '/srv/app' });
    assert.ok(parsed.ok);
    assert.equal(parsed.config.policy.quality.check, '/srv/app/a.mjs');
    assert.equal(parsed.config.models['fast']!.policy.quality?.check, '/srv/app/checks/own.mjs');
  });

  it('that is not there, or holds no function, stops the start', async (t) => {
    const folder = await write(t, 'export const check = 1;');
    const start = (check: string) =>
      startGateway({ providers: { x: { protocol: 'openai', baseUrl: 'http://x/v1' } }, policy: { quality: { check } } });
    await assert.rejects(start(join(folder, 'check.mjs')), /quality\.check: .*check\.mjs has no function as its default export/);
    await assert.rejects(start(join(folder, 'other.mjs')), /quality\.check: .*other\.mjs can't be loaded/);
  });
});

describe('a model as judge', () => {
  const judged = (t: TestContext, reply: (body: string) => string, more: Partial<VirtualOptions> = {}) =>
    virtual(
      t,
      {},
      {
        providers: { a: says('bad'), b: says('good'), j: ({ body }) => chatResponse({ words: [reply(body)] }) },
        models: {
          fast: { targets: ['a/m', 'b/m'], quality: { check: { model: 'judge', instruction: 'It must say good.' } } },
          judge: ['j/m'],
        },
        ...more,
      },
    );

  it('is asked about every answer, outside the attempts of the request', async (t) => {
    const bodies: string[] = [];
    const world = await judged(t, (body) => (bodies.push(body), body.includes('<response>\\ngood') ? 'PASS' : 'I think: FAIL.'));
    const answer = await world.answerTo();
    assert.equal(contentOf(answer.text), 'good');
    assert.equal(answer.headers.get('x-breakwater-attempts'), '2');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b'), world.callsTo('j')], [1, 1, 2]);
    assert.ok(bodies.every((body) => body.includes('It must say good.') && body.includes('Say something about harbours.')));
    const ids = world.eventsOf('finished').map(({ requestId }) => requestId);
    assert.deepEqual(ids, [`${ids[2]}.1`, `${ids[2]}.2`, ids[2]]);
  });

  it('at the same provider, which takes one call at a time, waits for nobody', async (t) => {
    const world = await virtual(
      t,
      {},
      {
        providers: { a: ({ body }) => chatResponse({ words: [body.includes('PASS or FAIL') ? 'PASS' : 'fine'] }) },
        models: { fast: { targets: ['a/m'], quality: { check: { model: 'fast', instruction: 'Is it fine?' } } } },
        limits: { concurrency: 1 },
      },
    );
    const answer = await world.answerTo();
    assert.equal(contentOf(answer.text), 'fine');
    assert.equal(world.callsTo('a'), 2, 'the judge is not judged');
  });

  for (const [name, reply] of [
    ['says nothing to the point', 'Perhaps.'],
    ['is empty', ''],
  ] as const) {
    it(`that ${name} loses nobody an answer`, async (t) => {
      const world = await judged(t, () => reply);
      assert.equal(contentOf((await world.answerTo()).text), 'bad');
      assert.ok(notesOf(world).some((note) => note.includes('could not be checked')));
    });
  }

  it('that nobody knows, or that does not answer in time, loses nobody an answer', async (t) => {
    const world = await judged(t, () => 'PASS', {
      models: {
        fast: { targets: ['a/m'], quality: { check: { model: 'nobody', instruction: 'x' } } },
        slow: { targets: ['a/m'], quality: { check: { model: 'silent', instruction: 'x' }, checkTimeout: '2s' } },
        silent: ['j/m'],
      },
      providers: { a: says('bad'), j: () => chatResponse({ headersAfterMs: 60_000 }) },
    });
    assert.equal(contentOf((await world.answerTo()).text), 'bad');
    const late = await world.answerTo({ model: 'slow' });
    assert.deepEqual([contentOf(late.text), late.endAtMs], ['bad', 2000]);
    await world.clock.advanceAsync(1);
    assert.deepEqual([world.upstream.running, world.gateway.queue().inFlight], [0, 0]);
  });
});

describe('the JSON that a request asks for', { concurrency: 4 }, () => {
  const format = (schema: object) => ({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } });
  const boats = { type: 'object', properties: { boats: { type: 'integer' } }, required: ['boats'], additionalProperties: false };
  const echo = (text: string) => [{ role: 'user', content: `echo ${text}` }];
  /** Target a says this, target b what fits. */
  const worldOf = (t: TestContext, text: string, quality: Quality = {}) =>
    startWorld(t, {
      storms: { a: {}, b: {} },
      models: {
        fast: [
          { target: 'a/m', set: { messages: echo(text) } },
          { target: 'b/m', set: { messages: echo('{"boats":7}') } },
        ],
      },
      config: { policy: { quality } },
    });
  const body = { max_tokens: 500, ...format(boats) };

  for (const [name, text] of [
    ['another type', '{"boats":"seven"}'],
    ['a member too much', '{"boats":7,"ships":1}'],
    ['a list', '[7]'],
    ['JSON that is cut off', '{"boats":'],
    ['JSON with words around it', 'Here you are: {"boats":7}'],
  ] as const) {
    for (const stream of [false, true]) {
      it(`is not ${name}, ${stream ? 'streamed' : 'plain'}`, async (t) => {
        const world = await worldOf(t, text, { buffer: stream });
        const seen = await world.ask({ ...body, stream });
        assert.deepEqual([contentOf(seen.text), seen.headers.get('x-breakwater-fallback')], ['{"boats":7}', 'quality']);
        assert.equal(world.eventsOf('attempt_end')[0]!.quality, 'schema');
      });
    }
  }

  for (const stream of [false, true]) {
    it(`is taken out of a code fence, ${stream ? 'streamed' : 'plain'}`, async (t) => {
      const world = await worldOf(t, '```json\n{ "boats": 3 }\n```', { buffer: stream });
      const seen = await world.ask({ ...body, stream });
      assert.deepEqual([contentOf(seen.text), seen.headers.get('x-breakwater-attempts')], ['{ "boats": 3 }', '1']);
    });
  }

  it('is nobody’s matter where the policy says so, or a tool is called', async (t) => {
    const world = await worldOf(t, 'No.', { jsonSchema: false });
    assert.equal(contentOf((await world.ask(body)).text), 'No.');
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
    const other = await startWorld(t, { storms: { a: {}, b: {} } });
    const called = await other.ask({ ...body, tools, tool_choice: 'required' });
    assert.deepEqual([called.headers.get('x-breakwater-target'), called.headers.get('x-breakwater-attempts')], ['a/m', '1']);
  });

  it('may be asked for with references, formats and drafts of any age, and with what nobody can read', async (t) => {
    const world = await worldOf(t, '{"boats":3}');
    for (const schema of [
      { $ref: '#/$defs/x', $defs: { x: boats } },
      { $schema: 'http://json-schema.org/draft-07/schema#', $id: 'same', definitions: { x: boats }, allOf: [{ $ref: '#/definitions/x' }] },
      { $schema: 'https://json-schema.org/draft/2020-12/schema', $id: 'same', ...boats, format: 'boat', 'x-order': 1 },
      { $ref: 'https://example.com/schema.json' },
      { type: 'no such type' },
      { $async: true, ...boats },
      { ...boats, description: 'x'.repeat(70_000) },
    ]) {
      const seen = await world.ask({ max_tokens: 500, ...format(schema) });
      assert.deepEqual(
        [contentOf(seen.text), seen.headers.get('x-breakwater-attempts')],
        ['{"boats":3}', '1'],
        JSON.stringify(schema).slice(0, 100),
      );
    }
  });

  it('holds up nobody, whatever its schema makes of it', async (t) => {
    const nested = (depth: number): string => (depth === 0 ? '1' : `[${nested(depth - 1)}]`);
    const world = await worldOf(t, nested(60));
    const branch = { type: 'array', items: { $ref: '#/$defs/x' } };
    const doubling = { $ref: '#/$defs/x', $defs: { x: { anyOf: [branch, branch] } } };
    const started = process.threadCpuUsage();
    for (let i = 0; i < 3; i++)
      assert.equal((await world.ask({ max_tokens: 500, ...format(doubling) })).headers.get('x-breakwater-target'), 'a/m');
    const slow = await worldOf(t, JSON.stringify(`${'a'.repeat(60)}!`));
    const pattern = { type: 'string', pattern: '^(a+)+$' };
    assert.equal((await slow.ask({ max_tokens: 500, ...format(pattern) })).headers.get('x-breakwater-target'), 'a/m');
    assert.ok(process.threadCpuUsage(started).user < 2_500_000, 'of this thread; theirs is another');
  });
});

it('patterns of the operator that take too long say nothing', async (t) => {
  const world = await virtual(t, { mustMatch: ['^(a+)+$'] }, { providers: { a: says(`${'a'.repeat(60)}!`) } });
  const answer = await world.answerTo();
  assert.deepEqual([answer.status, answer.headers.get('x-breakwater-quality')], [200, null]);
  assert.ok(notesOf(world).some((note) => note.includes('quality patterns took longer')));
});
