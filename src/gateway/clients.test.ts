import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../core/resource.ts';
import { createClients } from './clients.ts';
import type { ClientBounds } from './clients.ts';
import { hashKey, parseConfig, type ConfigInput } from './config/index.ts';

function clientsOf(clients: ConfigInput['clients'], makeBounds: Parameters<typeof createClients>[1] = () => boundsOf([])) {
  const parsed = parseConfig({ ...(clients !== undefined && { clients }) }, { source: 'library' });
  assert.ok(parsed.ok);
  return createClients(parsed.config, makeBounds);
}

const boundsOf = (resources: readonly Resource[]): ClientBounds => ({ resources, budget: null, sessions: null });

test('without configured clients every caller is the anonymous client, with or without a key', () => {
  const clients = clientsOf(undefined);
  const anonymous = clients.authenticate(null);
  assert.equal(anonymous?.name, 'anonymous');
  assert.equal(clients.authenticate('sk-any'), anonymous);
  assert.equal(anonymous?.mayUse('anything'), true);
});

test('a client is authenticated by its key or the hash of its key only', () => {
  const clients = clientsOf([
    { name: 'web', key: 'web-key' },
    { name: 'nightly', keyHash: hashKey('nightly-key').toUpperCase().replace('SHA256', 'sha256') },
  ]);
  assert.equal(clients.authenticate('web-key')?.name, 'web');
  assert.equal(clients.authenticate('nightly-key')?.name, 'nightly');
  for (const key of [null, '', 'web-ke', 'web-key ', hashKey('web-key'), hashKey('web-key').slice(7)]) {
    assert.equal(clients.authenticate(key), null, String(key));
  }
});

test('a client may use the models that its patterns match', () => {
  const client = clientsOf([{ name: 'web', key: 'web-key', models: ['fast', 'claude-*', 'backup/*'] }]).authenticate('web-key');
  const names = ['fast', 'claude-opus', 'backup/a/b', 'faster', 'gpt', 'xclaude-', 'backup'];
  assert.deepEqual(
    names.filter((name) => client?.mayUse(name)),
    ['fast', 'claude-opus', 'backup/a/b'],
  );
});

test('the limits of each client are created once', () => {
  const made: string[] = [];
  const limit = {} as Resource;
  const clients = clientsOf([{ name: 'web', key: 'web-key' }], ({ name }) => (made.push(name), boundsOf([limit])));
  assert.deepEqual(clients.authenticate('web-key')?.resources, [limit]);
  assert.equal(clients.authenticate('web-key'), clients.authenticate('web-key'));
  assert.deepEqual(made, ['web']);
});
