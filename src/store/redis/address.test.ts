import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeAddress, parseRedisUrl } from './address.ts';

const plain = {
  mode: 'single',
  nodes: [{ host: 'localhost', port: 6379 }],
  primary: '',
  tls: false,
  certificate: null,
  kind: 'redis',
  username: null,
  password: null,
  database: 0,
  namespace: 'breakwater',
};

const read: readonly (readonly [url: string, address: object])[] = [
  ['redis://localhost', plain],
  ['redis://localhost:6380/2', { ...plain, nodes: [{ host: 'localhost', port: 6380 }], database: 2 }],
  ['valkey://localhost', { ...plain, kind: 'valkey' }],
  ['rediss://localhost', { ...plain, tls: true }],
  ['valkeys://localhost', { ...plain, tls: true, kind: 'valkey' }],
  ['rediss://localhost?cert=/a/c.pem&key=k.pem', { ...plain, tls: true, certificate: { cert: '/a/c.pem', key: 'k.pem' } }],
  ['redis://:p%40ss@localhost', { ...plain, password: 'p@ss' }],
  ['redis://user:pass@localhost?namespace=blue', { ...plain, username: 'user', password: 'pass', namespace: 'blue' }],
  ['redis://[::1]:7000', { ...plain, nodes: [{ host: '::1', port: 7000 }] }],
  [
    'redis://a:1,b:2',
    {
      ...plain,
      mode: 'cluster',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
    },
  ],
  ['redis://localhost/?cluster=true', { ...plain, mode: 'cluster' }],
  [
    'redis://a,b:2/1?sentinel=main',
    {
      ...plain,
      mode: 'sentinel',
      primary: 'main',
      database: 1,
      nodes: [
        { host: 'a', port: 26379 },
        { host: 'b', port: 2 },
      ],
    },
  ],
];

for (const [url, address] of read) test(`${url} is read`, () => assert.deepEqual(parseRedisUrl(url), address));

const refused: readonly (readonly [url: string, reason: RegExp])[] = [
  ['redis://', /a host is missing/],
  ['redis://:secret@', /a host is missing/],
  ['redis://:secret@host:99999', /is invalid/],
  ['redis://:secret@host/first', /must be a number/],
  ['redis://:secret@a,b/1', /database 0 only/],
  ['redis://:secret@host?namespace=a b', /namespace/],
  ['redis://:secret@host?sentinel=', /name of the primary/],
  ['rediss://:secret@host?cert=a', /both parameters, cert and key/],
  ['redis://:secret@host?cert=a&key=b', /needs TLS/],
  ['redis://:secret@host?db=1', /unknown parameter/],
  ['redis://:sec%ret@host', /percent-encoded/],
  ['redis://:secret@host?cluster=perhaps', /true or false/],
];

for (const [url, reason] of refused) {
  test(`${url} is refused without its password`, () => {
    assert.throws(
      () => parseRedisUrl(url),
      (error: Error) => reason.test(error.message) && !/secret|sec%ret/.test(error.message),
    );
  });
}

test('an address is described without credentials', () => {
  assert.equal(describeAddress(parseRedisUrl('rediss://user:pass@[::1]:1,b:2')), 'rediss://[::1]:1,b:2');
  assert.equal(describeAddress(parseRedisUrl('valkeys://:pass@a/2')), 'valkeys://a:6379');
  assert.equal(describeAddress(parseRedisUrl('redis://:pass@a?sentinel=main')), 'redis://a:26379 (sentinels of main)');
});
