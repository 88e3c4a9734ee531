/** Prompts in the log and bodies in the request log: what they hold for callers of each dialect, and that they hold no key. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { BODY_BYTES_MAX, PROMPT_LENGTH_MAX } from '../../src/gateway/captured-bodies.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import type { RequestRecord } from '../../src/telemetry/request-log.ts';
import { createTelemetry } from '../../src/telemetry/telemetry.ts';
import { eventually, startWorld, type World } from './world.ts';

const CLIENT_KEY = 'web-client-key/1234';
const PROVIDER_KEY = 'provider-key/of-storm-77';
const KEYS = { authorization: `Bearer ${CLIENT_KEY}` };
/** A key that is in no config: a caller pasted it. */
const PASTED = 'sk-proj-Ab12Cd34Ef56Gh78Ij90';

interface LogLine {
  readonly event?: string;
  readonly level: string;
  readonly prompt?: string;
  readonly requestId?: string;
  readonly client?: string;
  readonly model?: string;
}

interface Recorded extends World {
  /** Asks in the form of a protocol; returns the text of the response. */
  say(protocol: 'openai' | 'anthropic' | 'gemini', text: string, stream?: boolean): Promise<string>;
  records(): Promise<RequestRecord[]>;
  prompts(): Promise<LogLine[]>;
  /** Everything written. */
  written(): Promise<string>;
}

interface Options {
  readonly prompts?: boolean;
  readonly bodies?: boolean;
  readonly storm?: StormOptions;
}

async function start(t: TestContext, { prompts = true, bodies = true, storm = {} }: Options = {}): Promise<Recorded> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-bodies-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'requests.jsonl');
  const world = await startWorld(t, {
    storms: { a: storm },
    providers: { a: { apiKey: PROVIDER_KEY } },
    models: { fast: ['a/m'] },
    config: { clients: [{ name: 'web', key: CLIENT_KEY }], telemetry: { logs: { prompts }, requests: { file, bodies } } },
  });
  let log = '';
  const { config, captures, events } = world.gateway;
  const telemetry = createTelemetry({
    logs: { level: 'info', destination: { write: (text: string, done: (error: null) => void) => ((log += text), done(null)) } },
    requests: { file },
    clock: systemClock,
    secrets: config.secrets,
    captures,
  });
  t.after(() => telemetry.close());
  telemetry.attach(events);
  const lines = async <T>(text: () => string | Promise<string>): Promise<T[]> => {
    await telemetry.flush();
    return (await text())
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as T);
  };
  const read = () => readFile(file, 'utf8');
  return {
    ...world,
    async say(protocol, text, stream = false) {
      const [path, body] = bodyOf(protocol, text, stream);
      const response = await world.post(path, body, { headers: KEYS });
      const answer = await response.text();
      assert.equal(response.status, 200, answer);
      return answer;
    },
    records: () => lines<RequestRecord>(read),
    prompts: async () => (await lines<LogLine>(() => log)).filter(({ event }) => event === 'prompt'),
    async written() {
      await telemetry.flush();
      return log + (bodies ? await read() : '');
    },
  };
}

function bodyOf(protocol: 'openai' | 'anthropic' | 'gemini', text: string, stream: boolean): [path: string, body: object] {
  switch (protocol) {
    case 'openai': {
      const messages = [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text }] },
      ];
      return ['/v1/chat/completions', { model: 'fast', messages, stream }];
    }
    case 'anthropic':
      return ['/v1/messages', { model: 'fast', max_tokens: 500, system: 'Be brief.', messages: [{ role: 'user', content: text }], stream }];
    case 'gemini': {
      const method = stream ? 'streamGenerateContent?alt=sse' : 'generateContent';
      const contents = [{ role: 'user', parts: [{ text }] }];
      return [`/v1beta/models/fast:${method}`, { systemInstruction: { parts: [{ text: 'Be brief.' }] }, contents }];
    }
  }
}

describe('telemetry.logs.prompts', () => {
  for (const protocol of ['openai', 'anthropic', 'gemini'] as const) {
    for (const stream of [false, true]) {
      it(`logs the conversation of a ${stream ? 'streamed' : 'plain'} ${protocol} request as readable text`, async (t) => {
        const world = await start(t, { bodies: false });
        await world.say(protocol, 'echo größer 港口 "calm"', stream);
        const [line, ...more] = await world.prompts();
        assert.equal(more.length, 0);
        assert.deepEqual([line!.level, line!.client, line!.model], ['info', 'web', 'fast']);
        assert.equal(line!.requestId, world.eventsOf('received')[0]!.requestId);
        assert.equal(line!.prompt, 'system: Be brief.\nuser: echo größer 港口 "calm"');
      });
    }
  }

  it('logs the prompt of a legacy completion and the texts to embed', async (t) => {
    const world = await start(t, { bodies: false });
    await world.post('/v1/completions', { model: 'fast', prompt: 'Once upon a time' }, { headers: KEYS });
    await world.post('/v1/embeddings', { model: 'fast', input: ['one text', 'two'] }, { headers: KEYS });
    assert.deepEqual(
      (await world.prompts()).map(({ prompt }) => prompt),
      ['Once upon a time', '["one text","two"]'],
    );
  });

  it('logs the end of a long conversation', async (t) => {
    const world = await start(t, { bodies: false });
    await world.say('openai', `${'word '.repeat(100_000)}the end`);
    await world.say('openai', `${'w '.repeat(700_000)}of a megabyte`);
    const [long, huge] = (await world.prompts()).map(({ prompt }) => prompt!);
    assert.ok(long!.length <= PROMPT_LENGTH_MAX && long!.endsWith('word the end'), `${long!.length}`);
    assert.ok(huge!.length <= PROMPT_LENGTH_MAX && huge!.includes('of a megabyte'), `${huge!.length}`);
  });

  it('is off by default', async (t) => {
    const world = await start(t, { prompts: false, bodies: false });
    await world.say('openai', 'echo a private matter');
    assert.deepEqual(await world.prompts(), []);
    assert.doesNotMatch(await world.written(), /private matter/);
  });
});

describe('telemetry.requests.bodies', () => {
  for (const protocol of ['openai', 'anthropic', 'gemini'] as const) {
    it(`records both bodies of a plain ${protocol} request as JSON`, async (t) => {
      const world = await start(t, { prompts: false });
      const answer = await world.say(protocol, 'echo calm sea');
      const [record] = await world.records();
      assert.deepEqual(record!.requestBody, bodyOf(protocol, 'echo calm sea', false)[1]);
      assert.deepEqual(record!.responseBody, JSON.parse(answer));
      assert.equal(record!.cutBodies, undefined);
      assert.equal(record!.outcome, 'success');
    });

    it(`records what a ${protocol} stream adds up to`, async (t) => {
      const world = await start(t, { prompts: false });
      await world.say(protocol, 'echo calm sea and a long way home', true);
      const [record] = await world.records();
      assert.match(JSON.stringify(record!.responseBody), /calm sea and a long way home/);
      assert.equal(typeof record!.responseBody, 'object');
    });
  }

  it('records the error that the caller received', async (t) => {
    const world = await start(t, { storm: { faults: [{ kind: 'status', status: 400, probability: 1 }] } as never });
    const response = await world.post('/v1/chat/completions', bodyOf('openai', 'x', false)[1], { headers: KEYS });
    assert.ok(response.status >= 400);
    const [record] = await world.records();
    assert.deepEqual(record!.responseBody, await response.json());
  });

  it('records the beginning of large bodies, and says so', async (t) => {
    const world = await start(t, { prompts: false });
    const text = `größer ${'wörter '.repeat(100_000)}`;
    await world.say('openai', text);
    const [record] = await world.records();
    assert.deepEqual(record!.cutBodies, ['request']);
    assert.equal(typeof record!.requestBody, 'string');
    const kept = record!.requestBody as string;
    assert.ok(Buffer.byteLength(kept) <= BODY_BYTES_MAX && Buffer.byteLength(kept) > BODY_BYTES_MAX - 100);
    assert.ok(JSON.stringify(bodyOf('openai', text, false)[1]).startsWith(kept));
  });

  it('keeps each record on one line, whatever white space a body has', async (t) => {
    const world = await start(t, { prompts: false });
    const body = JSON.stringify(bodyOf('openai', 'echo one\ntwo', false)[1], null, '\r\n\t');
    await world.post('/v1/chat/completions', body, { headers: KEYS });
    const records = await world.records();
    assert.equal(records.length, 1);
    assert.deepEqual(records[0]!.requestBody, JSON.parse(body));
  });

  it('records a stream whose caller left, as far as it went', async (t) => {
    const world = await start(t, { prompts: false, storm: { timing: { tokensPerSecond: 200, eventsPerPacket: 1 } } });
    const leaving = new AbortController();
    const [path, body] = bodyOf('openai', `echo ${'wave '.repeat(400)}`, true);
    const response = await world.post(path, body, { headers: KEYS, signal: leaving.signal });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.read();
    leaving.abort();
    await eventually(() => world.eventsOf('finished').length === 1, 'the end');
    const [record] = await world.records();
    assert.equal(record!.status, 499);
    assert.match(JSON.stringify(record!.responseBody), /wave/);
  });

  it('is off by default', async (t) => {
    const world = await start(t, { prompts: false, bodies: false });
    await world.say('openai', 'echo a private matter');
    const [record] = await world.records();
    assert.equal('requestBody' in record! || 'responseBody' in record!, false);
  });
});

describe('keys in prompts and bodies', () => {
  for (const stream of [false, true]) {
    it(`are masked in everything that is written, ${stream ? 'streamed in parts' : 'plain'}`, async (t) => {
      const world = await start(t, { storm: { timing: { eventsPerPacket: 1 } } });
      for (const protocol of ['openai', 'anthropic', 'gemini'] as const) {
        await world.say(protocol, `echo my key is ${PASTED} and not ${CLIENT_KEY} or ${PROVIDER_KEY} ok`, stream);
      }
      const written = await world.written();
      for (const key of [PASTED, CLIENT_KEY, PROVIDER_KEY]) {
        assert.ok(!written.includes(key), key);
        assert.ok(!written.includes(JSON.stringify(key).slice(1, -1).replaceAll('/', '\\/')), key);
      }
      assert.ok(!written.includes(PASTED.slice(8)), 'not in parts either');
      assert.match(written, /my key is \[redacted\]/);
      assert.equal((await world.prompts()).length, 3);
      const records = await world.records();
      assert.equal(records.filter(({ responseBody }) => /my key is/.test(JSON.stringify(responseBody))).length, 3);
    });
  }

  it('are masked at the edge of a body that is cut', async (t) => {
    const world = await start(t);
    for (const offset of [0, 5, 12, 20]) {
      const head = JSON.stringify(bodyOf('openai', '', false)[1]).indexOf('"text":"') + 8;
      const text = `${'x '.repeat((BODY_BYTES_MAX - head - offset) / 2)}${' '.repeat((head + offset) % 2)}${PASTED} ${'y '.repeat(10_000)}`;
      await world.say('openai', text);
    }
    const written = await world.written();
    assert.doesNotMatch(written, /sk-proj/);
    assert.equal((await world.records()).length, 4);
  });
});
