import assert from 'node:assert/strict';
import { overSocket } from '../../test/server/both-ways.ts';
import { rawExchange } from '../../test/server/raw-socket.ts';

const body = '{"model":"fast","messages":[]}';

function ask(...headers: string[]): string {
  const own = ['Host: localhost', 'Connection: close', `Content-Length: ${body.length}`, ...headers];
  return `POST /v1/chat/completions HTTP/1.1\r\n${own.join('\r\n')}\r\n\r\n${body}`;
}

const repeated: readonly (readonly [string, string])[] = [
  ['Authorization: Bearer a', 'authorization: Bearer b'],
  ['X-Api-Key: a', 'x-api-key: a'],
  ['Content-Type: application/json', 'Content-Type: text/plain'],
  ['Content-Encoding: identity', 'Content-Encoding: identity'],
  ['Idempotency-Key: a', 'Idempotency-Key: b'],
  ['x-breakwater-priority: high', 'X-Breakwater-Priority: high'],
  ['x-breakwater-deadline-ms: 1000', 'x-breakwater-deadline-ms: 2000'],
  ['x-stainless-timeout: 10', 'x-stainless-timeout: 20'],
];

for (const pair of repeated) {
  overSocket(`a header sent twice is refused: ${pair.join(', ')}`, {}, async ({ origin, gateway }) => {
    const answer = await rawExchange(origin, ask(...pair));
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, new RegExp(`"the header ${pair[0].split(':')[0]!.toLowerCase()} was sent twice"`));
    assert.equal(gateway.requests.length, 0);
  });
}

overSocket('headers that may be repeated are accepted', {}, async ({ origin }) => {
  const answer = await rawExchange(origin, ask('Accept: a/b', 'Accept: c/d', 'X-Other: 1', 'X-Other: 2', 'Cookie: a=1', 'Cookie: b=2'));
  assert.match(answer, /^HTTP\/1\.1 200 /);
});
