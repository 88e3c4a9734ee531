/**
 * A caller of each dialect, by its official SDK, whose first target fails in each phase: alone, and before a second target of the other
 * dialect. The first target speaks either dialect.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { askBy, CALLERS } from './dialect-callers.ts';
import type { CallerName, Heard } from './dialect-callers.ts';
import { FOREIGN, FOREVER, headStep, messageEvent, RESET, send, streamOf, TEXT, USAGE, wholeAnswer, WIRES } from './dialect-wires.ts';
import type { Wire } from './dialect-wires.ts';
import { startVirtualWorld } from './virtual.ts';

/** An error as each SDK sees it: its class, and the word for its kind (OpenAI: the code). */
interface Told {
  /** Undefined: inside a stream that has begun. */
  readonly status: number | undefined;
  readonly openai: readonly [name: string, code: string | null];
  readonly anthropic: readonly [name: string, type: string];
  readonly message: RegExp;
}

interface Fault {
  readonly name: string;
  readonly form: 'both' | 'stream';
  answer(wire: Wire, stream: boolean): SimulatedResponse;
  /** Calls while the target is alone; a stream with an added usage chunk may cost one more. */
  readonly calls: number;
  /** What a caller is told while the target is alone. */
  told(first: CallerName): Told;
  /** Content has reached the caller: nobody else is asked. */
  readonly isCommitted?: true;
  /** The stream was kept alive so long that its status is out. */
  readonly isKeptAlive?: true;
}

const MAX_ATTEMPTS = 4;

/** `told`: by a provider of the other dialect; the words of one of the same dialect pass as they are. */
function refusal(status: number, type: string, calls: number, told: Told): Fault {
  const headers: Record<string, string> = status === 429 ? { 'retry-after': '2' } : {};
  return {
    name: `${status} ${type}`,
    form: 'both',
    answer: (wire) => ({ steps: [headStep(false, status, headers), send(wire.error(type, 'not now'))] }),
    calls,
    told: (first) => (first === 'openai' && status === 429 ? { ...told, openai: ['RateLimitError', null] } : told),
  };
}

const failed = (message: RegExp): Told => ({
  status: 502,
  openai: ['InternalServerError', 'all_targets_failed'],
  anthropic: ['InternalServerError', 'api_error'],
  message,
});
const brokenOff = (message: RegExp): Told => ({
  status: undefined,
  openai: ['APIError', 'stream_interrupted'],
  anthropic: ['APIError', 'api_error'],
  message,
});

function before(name: string, answer: Fault['answer'], message: RegExp): Fault {
  return { name, form: 'stream', answer, calls: MAX_ATTEMPTS, told: () => failed(message) };
}

function after(name: string, answer: Fault['answer'], told: Told): Fault {
  return { name, form: 'stream', answer, calls: 1, told: () => told, isCommitted: true };
}

/** An error of the provider inside a success; its own words say which status it stands for. */
const overloaded = (first: CallerName): Told =>
  first === 'openai'
    ? {
        status: 503,
        openai: ['InternalServerError', 'server_is_overloaded'],
        anthropic: ['ServiceUnavailableError', 'overloaded_error'],
        message: /overloaded/,
      }
    : { status: 529, openai: ['InternalServerError', null], anthropic: ['OverloadedError', 'overloaded_error'], message: /Overloaded/ };

const FAULTS: readonly Fault[] = [
  {
    name: 'connection refused',
    form: 'both',
    answer: () => ({ refuse: 'ECONNREFUSED', steps: [] }),
    calls: MAX_ATTEMPTS,
    told: () => failed(/connection refused/),
  },
  refusal(429, 'rate_limit_error', MAX_ATTEMPTS, {
    status: 429,
    openai: ['RateLimitError', 'rate_limit_exceeded'],
    anthropic: ['RateLimitError', 'rate_limit_error'],
    message: /not now/,
  }),
  refusal(529, 'overloaded_error', MAX_ATTEMPTS, {
    status: 529,
    openai: ['InternalServerError', null],
    anthropic: ['OverloadedError', 'overloaded_error'],
    message: /not now/,
  }),
  refusal(503, 'overloaded_error', MAX_ATTEMPTS, {
    status: 503,
    openai: ['InternalServerError', null],
    anthropic: ['ServiceUnavailableError', 'overloaded_error'],
    message: /not now/,
  }),
  refusal(413, 'request_too_large', 1, {
    status: 413,
    openai: ['APIError', null],
    anthropic: ['ContentTooLargeError', 'request_too_large'],
    message: /not now/,
  }),
  refusal(401, 'authentication_error', 1, {
    status: 502,
    openai: ['InternalServerError', 'upstream_auth_failed'],
    anthropic: ['InternalServerError', 'api_error'],
    message: /a refuses its configured credential/,
  }),
  {
    name: 'silence before the headers',
    form: 'stream',
    answer: () => ({ steps: [FOREVER] }),
    calls: 2,
    told: () => ({
      status: undefined,
      openai: ['APIError', 'deadline_exceeded'],
      anthropic: ['APIError', 'timeout_error'],
      message: /no response headers within/,
    }),
    isKeptAlive: true,
  },
  {
    name: 'silence before content',
    form: 'stream',
    answer: (wire) => streamOf(wire.head, FOREVER),
    calls: 2,
    told: () => ({
      status: undefined,
      openai: ['APIError', 'deadline_exceeded'],
      anthropic: ['APIError', 'timeout_error'],
      message: /no content within/,
    }),
    isKeptAlive: true,
  },
  {
    name: 'an error in place of the response',
    form: 'both',
    answer: ({ errorEvent }, stream) => ({ steps: [headStep(stream), send(stream ? errorEvent : errorEvent.replace(/^[^{]*/, ''))] }),
    calls: MAX_ATTEMPTS,
    told: overloaded,
  },
  {
    name: 'an error event before content',
    form: 'stream',
    answer: (wire) => streamOf(wire.head, send(wire.errorEvent)),
    calls: MAX_ATTEMPTS,
    told: overloaded,
  },
  before('a cut before content', (wire) => streamOf(wire.head), /the stream ended before/),
  before('a reset before content', (wire) => streamOf(wire.head, RESET), /ECONNRESET/),
  before('a malformed event before content', (wire) => streamOf(wire.head, send('event: ping\ndata: {"type\n\n')), /not a JSON object/),
  after('a cut after content', (wire) => streamOf(wire.head + wire.words[0]!), brokenOff(/a\/m broke off its response: the stream ended/)),
  after(
    'a cut inside an event',
    (wire) => streamOf(wire.head + wire.words[0]!, send(wire.words[1]!.slice(0, -20))),
    brokenOff(/broke off/),
  ),
  after('a reset after content', (wire) => streamOf(wire.head + wire.words[0]!, RESET), brokenOff(/ECONNRESET/)),
  after('an error event after content', (wire) => streamOf(wire.head + wire.words[0]!, send(wire.errorEvent)), brokenOff(/overloaded/i)),
  after(
    'a malformed event after content',
    (wire) => streamOf(wire.head + wire.words[0]!, send('data: {"x\n\n')),
    brokenOff(/not a JSON object/),
  ),
  after(
    "the other dialect's terminator",
    (wire) => streamOf(wire.head + wire.words.join(''), send(wire === WIRES.openai ? messageEvent('message_stop') : 'data: [DONE]\n\n')),
    brokenOff(/the stream ended before/),
  ),
  after('silence after content', (wire) => streamOf(wire.head + wire.words[0]!, FOREVER), {
    status: undefined,
    openai: ['APIError', 'stream_stalled'],
    anthropic: ['APIError', 'timeout_error'],
    message: /no further content within/,
  }),
];

interface Scene {
  readonly heard: Heard;
  readonly calls: (provider: string) => number;
}

async function play(
  t: TestContext,
  fault: Fault,
  caller: CallerName,
  first: CallerName,
  stream: boolean,
  hasSecond: boolean,
): Promise<Scene> {
  const second = first === 'openai' ? 'anthropic' : 'openai';
  const base = (name: string, dialect: CallerName): string => (dialect === 'openai' ? `http://${name}/v1` : `http://${name}`);
  const world = await startVirtualWorld(t, {
    providers: { a: () => fault.answer(WIRES[first], stream), b: () => wholeAnswer(WIRES[second], stream) },
    configured: {
      a: { protocol: first, baseUrl: base('a', first), apiKey: 'sk-a' },
      b: { protocol: second, baseUrl: base('b', second), apiKey: 'sk-b' },
    },
    models: { fast: hasSecond ? ['a/m', 'b/m'] : ['a/m'] },
  });
  const heard = await world.until(askBy(caller, 'http://breakwater', world.fetch, { stream }));
  return { heard, calls: (provider) => world.callsTo(provider) };
}

function assertTold(caller: CallerName, { status, [caller]: [name, word], message }: Told, { error, headers, raw }: Heard): void {
  assert.ok(error !== null, raw);
  assert.equal(error.name, name);
  assert.equal(error.status, status);
  assert.equal(caller === 'openai' ? error.code : error.type, word, raw);
  assert.match(error.message, message);
  assert.match(error.requestId ?? '', /^req_/);
  assert.equal(headers.get('request-id'), caller === 'anthropic' ? headers.get('x-request-id') : null);
  assert.doesNotMatch(raw, FOREIGN[caller === 'openai' ? 'openai' : 'anthropic']);
  assert.doesNotMatch(raw, caller === 'openai' ? /\[DONE\]/ : /message_stop/);
}

for (const caller of CALLERS) {
  for (const first of CALLERS) {
    describe(`the ${caller} SDK, whose first target speaks ${first}`, () => {
      for (const fault of FAULTS) {
        for (const stream of fault.form === 'both' ? [false, true] : [true]) {
          const form = stream ? 'streamed' : 'plain';

          it(`is told of ${fault.name} (${form}) where there is no other target`, async (t) => {
            const { heard, calls } = await play(t, fault, caller, first, stream, false);
            assertTold(caller, fault.told(first), heard);
            assert.equal(calls('a'), fault.calls);
            assert.ok(fault.isCommitted === true ? heard.text.startsWith('one ') : heard.text === '', heard.text);
            assert.equal(heard.stop, null);
            if (fault.isKeptAlive === true) assert.match(heard.raw, caller === 'anthropic' ? /^event: ping$/m : /^: keep-alive$/m);
          });

          it(`${fault.isCommitted === true ? 'is told of' : 'does not see'} ${fault.name} (${form}) where a second target speaks the other dialect`, async (t) => {
            const { heard, calls } = await play(t, fault, caller, first, stream, true);
            assert.equal(calls('a'), 1);
            if (fault.isCommitted === true) {
              assert.equal(calls('b'), 0);
              return assertTold(caller, fault.told(first), heard);
            }
            assert.equal(calls('b'), 1);
            assert.equal(heard.error, null, heard.raw);
            assert.equal(heard.text, TEXT);
            assert.equal(heard.stop, caller === 'openai' ? 'stop' : 'end_turn');
            assert.deepEqual(heard.usage, USAGE);
            assert.doesNotMatch(heard.raw, FOREIGN[caller]);
            assert.equal(heard.headers.get('x-breakwater-target') ?? /target=(\S+)/.exec(heard.raw)?.[1], 'b/m');
            assert.equal(heard.headers.get('request-id') !== null, caller === 'anthropic');
          });
        }
      }
    });
  }
}
