import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionShares } from './connection-shares.ts';

interface Connection {
  readonly remoteAddress: string;
  isIdle: boolean;
}

const connection = (remoteAddress: string, isIdle = false): Connection => ({ remoteAddress, isIdle });

test('an address may have as many connections as remain free for others', () => {
  const shares = new ConnectionShares<Connection>(1000, (each) => each.isIdle);
  let taken = 0;
  while (shares.add(connection('10.0.0.1')) === null) taken++;
  assert.equal(taken, 500);
  let other = 0;
  while (shares.add(connection('10.0.0.2')) === null) other++;
  assert.equal(other, 250);
  assert.equal(shares.add(connection('10.0.0.3')), null);
});

test('beyond its share a new connection replaces the oldest idle one of its address', () => {
  const shares = new ConnectionShares<Connection>(8, (each) => each.isIdle);
  const [busy, idle, foreign] = [connection('a'), connection('a', true), connection('b', true)];
  for (const each of [foreign, busy, idle, connection('a', true)]) assert.equal(shares.add(each), null);
  assert.equal(shares.add(connection('a')), null);
  assert.equal(shares.add(connection('a')), idle);
  assert.equal(shares.all.has(idle), false);
  shares.remove(idle);
  assert.equal(shares.all.size, 5);
});

test('at the limit a connection of a new address replaces any idle one', () => {
  const shares = new ConnectionShares<Connection>(4, (each) => each.isIdle);
  const idle = connection('d', true);
  for (const address of ['a', 'b', 'c']) assert.equal(shares.add(connection(address)), null);
  assert.equal(shares.add(idle), null);
  assert.equal(shares.add(connection('e')), idle);
  assert.equal(shares.add(connection('f')), 'refused');
});

test('the addresses of one IPv6 network have one share', () => {
  const shares = new ConnectionShares<Connection>(4, () => false);
  assert.equal(shares.add(connection('2001:db8:1:2::1')), null);
  assert.equal(shares.add(connection('2001:db8:1:2:3:4:5:6')), null);
  assert.equal(shares.add(connection('2001:db8:1:2::7')), 'refused');
  assert.equal(shares.add(connection('2001:db8:1:3::1')), null);
  assert.equal(shares.add(connection('::ffff:1.2.3.4')), null);
});
