import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UpstreamListener, UpstreamRequest } from '../transport/transport.ts';
import { createManualClock } from './manual-clock.ts';
import { chatStream, silence } from './simulated-chat.ts';
import { createSimulatedUpstream } from './simulated-upstream.ts';
import type { SimulatedResponse } from './simulated-upstream.ts';

const request: UpstreamRequest = {
  origin: 'http://a',
  path: '/',
  method: 'POST',
  headers: [],
  body: Buffer.from('{}'),
  connectTimeoutMs: 1,
};

function start(response: SimulatedResponse) {
  const clock = createManualClock();
  const upstream = createSimulatedUpstream(clock, () => response);
  const heard: string[] = [];
  const say = (what: string) => void heard.push(`${clock.now()} ${what}`);
  const listener: UpstreamListener = {
    onSent: () => say('sent'),
    onHeaders: (status) => say(`head ${status}`),
    onData: (chunk) => say(Buffer.from(chunk).toString().slice(0, 12)),
    onEnd: () => say('end'),
    onError: (error) => say(`error ${error.message}`),
  };
  return { clock, upstream, heard, call: upstream.send(request, listener) };
}

const steps: SimulatedResponse['steps'] = [
  { do: 'wait', ms: 10 },
  { do: 'head', status: 200 },
  { do: 'send', bytes: 'one' },
  { do: 'wait', ms: 5 },
  { do: 'send', bytes: 'two' },
];

test('a response follows its script, and never starts before `send` has returned', () => {
  const { clock, upstream, heard } = start({ connectMs: 3, steps });
  assert.deepEqual(heard, []);
  assert.equal(upstream.running, 1);
  clock.advance(100);
  assert.deepEqual(heard, ['3 sent', '13 head 200', '13 one', '18 two', '18 end']);
  assert.deepEqual([upstream.running, upstream.maxRunning, upstream.aborted], [0, 1, 0]);
  assert.equal(upstream.calls[0]!.body, '{}');
});

test('a broken connection delivers nothing more', () => {
  const { clock, heard } = start({ steps: [...steps, { do: 'break', code: 'ECONNRESET' }] });
  clock.advance(100);
  assert.equal(heard.at(-1), '15 error ECONNRESET');
});

test('an abort takes effect at once: the listener is not called again, and the call is counted as aborted', () => {
  const { clock, upstream, heard, call } = start({ steps });
  clock.advance(11);
  call.abort();
  call.abort();
  clock.advance(100);
  assert.deepEqual(heard, ['0 sent', '10 head 200', '10 one']);
  assert.deepEqual([upstream.running, upstream.aborted, clock.pendingTimers], [0, 1, 0]);
});

test('a paused call holds its bytes back until it is resumed', () => {
  const { clock, heard, call } = start({ steps });
  clock.advance(11);
  call.pause();
  clock.advance(100);
  assert.equal(heard.length, 3);
  call.resume();
  clock.advance(0);
  assert.deepEqual(heard.slice(3), ['111 two', '111 end']);
});

test('silence uses no timer', () => {
  const { clock, upstream } = start(silence());
  clock.advance(1);
  assert.deepEqual([upstream.running, clock.pendingTimers], [1, 0]);
});

test('a chat stream ends with its terminator', () => {
  const { clock, heard } = start(chatStream({ words: ['x'] }));
  clock.advance(1);
  assert.deepEqual(heard.slice(-2), ['0 data: [DONE]', '0 end']);
});
