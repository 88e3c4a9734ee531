import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Failure } from '../core/facts.ts';
import { HeldBytes } from '../core/held-bytes.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { readChatResponse } from '../wire/openai-chat/read-response.ts';
import type { StreamReader } from '../wire/dialect.ts';
import { StreamFold } from '../wire/openai-chat/stream-to-completion.ts';
import { createChatStreamReader } from '../wire/openai-chat/stream-reader.ts';
import { ResponseGuard } from './response-guard.ts';
import type { ExpectedForm } from './expected-form.ts';
import type { GuardLimits, GuardListener } from './guard-listener.ts';

const limits: GuardLimits = {
  connectMs: 1000,
  headersMs: 1000,
  firstContentMs: 1000,
  idleMs: 1000,
  attemptEnds: Infinity,
  shortestMs: 1000,
  silenceLimit: () => ({ at: Infinity, kind: 'timeout' }),
};

/** The callbacks of the guard, in order. */
function listen(change: Partial<GuardListener> = {}) {
  const told: string[] = [];
  const failures: Failure[] = [];
  const listener: GuardListener = {
    onSent: () => told.push('sent'),
    onCandidate: () => told.push('candidate'),
    onChunks: () => told.push('pieces'),
    onEnd: () => told.push('end'),
    onFailure(failure) {
      told.push('failure');
      failures.push(failure);
    },
    onThrown: (_, isOver) => told.push(isOver ? 'thrown, over' : 'thrown'),
    onDecoderFull: () => {},
    onSilence: () => {},
    onLinger: () => {},
    ...change,
  };
  return { told, failures, listener };
}

const throwing = (): never => {
  throw new RangeError('an odd byte');
};

function formOf(change: Partial<ExpectedForm>): ExpectedForm {
  return {
    wants: 'json',
    judgesBytes: false,
    isConverted: false,
    createReader: () => null,
    createHold: () => null,
    read: (bytes) => readChatResponse('chat', bytes),
    toStream: throwing,
    fromStream: throwing,
    createFold: throwing,
    ...change,
  };
}

const held = new HeldBytes(() => Infinity);

const oddReader = { push: throwing, end: throwing, isComplete: false, facts: {} } as unknown as StreamReader;

test('an exception in a stream reader fails the response, and is reported', () => {
  const { told, failures, listener } = listen();
  const guard = new ResponseGuard(createManualClock(), formOf({ wants: 'stream', createReader: () => oddReader }), limits, listener, held);
  guard.onSent();
  guard.onHeaders(200, { 'content-type': 'text/event-stream' });
  guard.onData(Buffer.from('data: {}\n\n'));
  guard.onData(Buffer.from('data: {}\n\n'));
  guard.onEnd();
  assert.deepEqual(told, ['sent', 'thrown', 'failure']);
  assert.equal(failures[0]!.kind, 'malformed');
});

test('so does one in a reader of a non-streaming response, at its end or at a timeout', () => {
  for (const end of ['end', 'silence']) {
    const clock = createManualClock();
    const { told, failures, listener } = listen();
    const guard = new ResponseGuard(
      clock,
      formOf({ wants: 'stream', createReader: () => oddReader, read: throwing }),
      limits,
      listener,
      held,
    );
    guard.onSent();
    guard.onHeaders(200, {});
    if (end === 'end') guard.onEnd();
    else clock.advance(5000);
    assert.deepEqual(told.filter((word) => word === 'failure').length, 1, end);
    assert.equal(failures[0]!.kind, end === 'end' ? 'malformed' : 'timeout');
  }
});

test('after an exception in `onFailure` no other callback follows', () => {
  const { told, listener } = listen({ onFailure: throwing });
  const guard = new ResponseGuard(createManualClock(), formOf({}), limits, listener, held);
  guard.onSent();
  guard.onError(new Error('reset'));
  guard.onEnd();
  assert.deepEqual(told, ['sent', 'thrown, over']);
});

test('a complete stream that is too large for a non-streaming response fails once, without an internal fault', () => {
  const { told, failures, listener } = listen();
  const form = formOf({
    createReader: () => createChatStreamReader({ operation: 'chat', keepUsage: true, maxEventSize: 1e8 }),
    createFold: () => new StreamFold(),
  });
  const guard = new ResponseGuard(createManualClock(), form, limits, listener, new HeldBytes(() => Infinity));
  guard.onSent();
  guard.onHeaders(200, { 'content-type': 'text/event-stream' });
  const last = '"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}';
  guard.onData(Buffer.from(`data: {"x":[${'0,'.repeat(100_000)}0],${last}\n\ndata: [DONE]\n\n`));
  assert.deepEqual(told, ['sent', 'failure']);
  assert.equal(failures[0]!.message, 'a stream of this size cannot be converted');
});
