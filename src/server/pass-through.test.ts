import assert from 'node:assert/strict';
import { overSocket } from '../../test/server/both-ways.ts';
import { rawExchange } from '../../test/server/raw-socket.ts';

const listed = {
  config: {
    server: {
      passThrough: [
        { path: '/v1/fine_tuning/*', provider: 'backup' },
        { path: '/v1/own', provider: 'backup' },
      ],
    },
  },
};

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;

overSocket('a listed path is forwarded in normalized form, for every spelling', listed, async ({ origin, gateway }) => {
  for (const [target, sent] of [
    ['/v1/fine_tuning/jobs', '/fine_tuning/jobs'],
    ['/v1//fine_tuning///jobs/', '/fine_tuning/jobs'],
    ['/v1/./fine_tuning/x/../jobs', '/fine_tuning/jobs'],
    ['/v1/files/%2E%2e/fine_tuning/jobs', '/fine_tuning/jobs'],
    ['/v1/fine_tuning/%6Aobs', '/fine_tuning/jobs'],
    ['/v1/fine_tuning%2fjobs', '/fine_tuning/jobs'],
    ['/v1\\fine_tuning\\jobs', '/fine_tuning/jobs'],
    ['/v1/fine_tuning%5Cjobs', '/fine_tuning/jobs'],
    ['/fine_tuning/jobs', '/fine_tuning/jobs'],
    ['/v1/fine_tuning/%c3%a9?a=/../b', '/fine_tuning/%C3%A9?a=/../b'],
    ['/v1/own', '/own'],
  ] as const) {
    const { length } = gateway.requests;
    assert.match(await rawExchange(origin, get(target)), /^HTTP\/1\.1 200 /, target);
    assert.equal(gateway.requests[length]?.path, sent, target);
  }
});

overSocket('no spelling of a listed path reaches a different path', listed, async ({ origin, gateway }) => {
  for (const target of [
    '/v1/fine_tuning/../uploads',
    '/v1/fine_tuning/%2e%2e/uploads',
    '/v1/fine_tuning/.%2E/uploads',
    '/v1/fine_tuning/..%2fuploads',
    '/v1/fine_tuning/..%2Fuploads',
    '/v1/fine_tuning\\..\\uploads',
    '/v1/fine_tuning/..%5cuploads',
    '/v1/fine_tuning/%5C../uploads',
    '/v1/fine_tuning//../uploads',
    '/v1/fine_tuning/x/../../uploads',
    '/v1/fine_tuning',
    '/v1/fine_tuning/..',
    '/v1/FINE_TUNING/jobs',
    '/v1/own/x',
    '/v1/own%2f..%2fuploads',
  ]) {
    assert.match(await rawExchange(origin, get(target)), /^HTTP\/1\.1 404 /, target);
  }
  for (const target of [
    '/v1/fine_tuning/%252e%252e/uploads',
    '/v1/fine_tuning/..%252fuploads',
    '/v1/fine_tuning/%25%32%65%25%32%65/uploads',
    '/v1/fine_tuning/..%255cuploads',
    '/v1/fine_tuning/%25252e%25252e/uploads',
    '/v1/fine_tuning/..;/uploads',
    '/v1/fine_tuning/%2e%2e;a=b/uploads',
    '/v1/fine_tuning/%00',
    '/v1/fine_tuning/%zz',
  ]) {
    assert.match(await rawExchange(origin, get(target)), /^HTTP\/1\.1 400 /, target);
  }
  assert.equal(gateway.requests.length, 0);
});
