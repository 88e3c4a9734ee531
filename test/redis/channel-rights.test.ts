/** Users of an ACL without the rights for messages: limits are shared all the same, and operators see what is missing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../e2e/world.ts';
import { startFleet, type FleetMember } from './fleet-world.ts';
import { sendCommands, skipWithoutRedis, startRedis } from './server.ts';

const options = { skip: skipWithoutRedis };
const KEYS = 'resetkeys ~{breakwater}* ~{breakwater:* +@all -@admin -@dangerous +info';

interface Health {
  readonly store: { readonly state: string; readonly message: string | null };
  readonly fleet: { readonly instances: number; readonly isLinked: boolean };
}

async function healthOf({ url }: FleetMember): Promise<Health> {
  return (await (await fetch(`${url}/admin/health`)).json()) as Health;
}

for (const [missing, rights] of [
  ['channels, the default of Redis 7', 'resetchannels'],
  ['PUBLISH', '&* -publish'],
  ['SUBSCRIBE', '&* -subscribe'],
] as const) {
  void test(`without ${missing}, instances share a limit, name the missing right, and recover once it is granted`, options, async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    await sendCommands(redis.port, `ACL SETUSER team on >secret ${KEYS} ${rights}`);
    const limits = { requestsPerMinute: 60, burst: 0.5 };
    const fleet = await startFleet(t, {
      url: `redis://team:secret@127.0.0.1:${redis.port}`,
      storm: { limits },
      provider: { limits },
    });
    const members = [await fleet.join(), await fleet.join(), await fleet.join()];
    await eventually(() => members.every(({ gateway }) => gateway.fleet!.members.length === 3), 'three members');
    const asked = members.flatMap((member) => Array.from({ length: 30 }, () => member.ask({}, { 'x-breakwater-deadline-ms': '3000' })));
    const served = (await Promise.all(asked)).filter(({ status }) => status === 200).length;
    assert.equal(fleet.storm.stats().violations.total, 0);
    assert.ok(served >= 25, `${served} of 30 and what refills in 3 s`);
    for (const member of members) {
      const { store, fleet: shown } = await healthOf(member);
      assert.deepEqual([store.state, shown.isLinked, shown.instances], ['degraded', true, 3]);
      assert.match(store.message!, /right to SUBSCRIBE and PUBLISH on the channel \{breakwater\}:messages \(NOPERM/);
      assert.equal(member.eventsOf('warning').filter(({ message }) => /NOPERM/.test(message)).length, 1);
    }
    await sendCommands(redis.port, 'ACL SETUSER team &* +publish +subscribe');
    await eventually(() => members.every(({ gateway }) => gateway.fleet!.fault === null && gateway.fleet!.isLinked), 'messages');
    assert.equal((await healthOf(members[0]!)).store.state, 'ok');
    assert.equal((await members[0]!.gateway.fleet!.survey()).reported, 3);
  });
}

void test('a user without the rights for its keys is named in the health and in the log', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await sendCommands(redis.port, 'ACL SETUSER team on >secret ~other* &* +@all');
  const fleet = await startFleet(t, { url: `redis://team:secret@127.0.0.1:${redis.port}` });
  const member = await fleet.join();
  await eventually(() => member.eventsOf('lifecycle').some(({ state }) => state === 'fleet_lost'), 'the loss');
  assert.match(member.eventsOf('lifecycle').find(({ state }) => state === 'fleet_lost')!.detail!, /NOPERM/);
  assert.match((await healthOf(member)).store.message!, /NOPERM/);
});
