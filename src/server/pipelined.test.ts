import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { overSocket } from '../../test/server/both-ways.ts';
import { rawExchange } from '../../test/server/raw-socket.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import { PIPELINED_MAX } from './pipelined.ts';

function post(model: string, ...more: string[]): string {
  const body = JSON.stringify({ model, messages: [] });
  return ['POST /v1/chat/completions HTTP/1.1', 'Host: localhost', `Content-Length: ${body.length}`, ...more, '', body].join('\r\n');
}

/** The statuses of the responses, in order. */
function statuses(answers: string): string[] {
  return [...answers.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status!);
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
};

const broken: [string, string, string][] = [
  ['garbage', 'NONSENSE\r\n\r\n', '400'],
  ['a request with two hosts', 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: a\r\n\r\n', '400'],
  ['a bad length', post('fast').replace(/Content-Length: \d+/, 'Content-Length: x'), '400'],
  ['a head without end', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`, '431'],
  ['a bad chunk', 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', '400'],
];

for (const [what, text, status] of broken) {
  for (const form of ['plain', 'streamed'] as const) {
    overSocket(`${what} after a valid request does not affect its ${form} response, and is refused after it`, {}, async (stage) => {
      const { origin, gateway } = stage;
      let sink: ResponseSink | undefined;
      gateway.answer = (_, given) =>
        new Promise((resolve) => {
          sink = given;
          given.head(200, ['content-type', form === 'plain' ? 'application/json' : 'text/event-stream']);
          if (form === 'streamed') given.write(Buffer.from('data: first\n\n'));
          resolve();
        });
      const answers = rawExchange(origin, post('fast') + text + post('vendor/one'));
      while (sink === undefined) await new Promise(setImmediate);
      await turns();
      sink.end(Buffer.from('the whole response'));
      const got = await answers;
      assert.deepEqual(statuses(got), ['200', status]);
      assert.ok(got.indexOf('the whole response') < got.indexOf(`HTTP/1.1 ${status}`));
      assert.match(got, /connection: close[^]*"code":"invalid_request"/i);
      assert.equal(gateway.requests.length, 1, 'later requests are ignored');
    });
  }
}

overSocket('all responses before a malformed request are sent', {}, async ({ origin }) => {
  const got = await rawExchange(origin, post('fast') + post('vendor/one') + post('fast') + 'NONSENSE\r\n\r\n');
  assert.deepEqual(statuses(got), ['200', '200', '200', '400']);
});

overSocket('pipelined requests on a connection are handled one at a time', {}, async ({ origin, gateway }) => {
  const sinks: ResponseSink[] = [];
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sinks.push(sink);
  };
  const answers = rawExchange(origin, post('fast') + post('fast') + post('fast', 'Connection: close'));
  for (let number = 1; number <= 3; number++) {
    while (sinks.length < number) await new Promise(setImmediate);
    await turns();
    assert.equal(sinks.length, number);
    sinks[number - 1]!.end(Buffer.from('{}'));
  }
  assert.deepEqual(statuses(await answers), ['200', '200', '200']);
});

overSocket(`a connection is not read while more than ${PIPELINED_MAX} requests wait on it`, {}, async ({ origin, gateway }) => {
  const sinks: ResponseSink[] = [];
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sinks.push(sink);
  };
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname);
  const flood = Buffer.from(post('fast').repeat(80_000));
  let received = '';
  socket.on('data', (piece) => (received += piece.toString('latin1')));
  socket.write(flood);
  while (sinks.length === 0) await new Promise(setImmediate);
  await turns();
  assert.ok(socket.writableLength > flood.length / 4, `${socket.writableLength} bytes are not taken`);
  for (let number = 0; number < 40; number++) {
    while (sinks.length <= number) await new Promise(setImmediate);
    sinks[number]!.end(Buffer.from('{}'));
  }
  while (statuses(received).length < 40) await new Promise(setImmediate);
  await turns();
  assert.ok(socket.writableLength > flood.length / 4, `${socket.writableLength} bytes are not taken after 40 answers`);
  socket.destroy();
});
