import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { SettingsAgreement, type Settings } from './settings-agreement.ts';

interface Instance {
  settings: Settings;
  readonly agreement: SettingsAgreement;
  readonly said: string[];
}

/** Instances whose messages arrive at once; `update`: the fleet has changed. */
function stage(...given: readonly Settings[]) {
  const clock = createManualClock();
  const members = given.map((_, i) => `m${i}`);
  const messages: string[] = [];
  const instances: Instance[] = given.map((settings, i) => {
    const said: string[] = [];
    const publish = (text: string): void => {
      messages.push(text);
      for (const other of instances) if (other !== instance) other.agreement.take(text.split('\n').slice(1));
    };
    const agreement = new SettingsAgreement({
      clock,
      publish,
      status: () => ({ member: `m${i}`, members }),
      name: `host-${i}`,
      own: () => instance.settings,
      onDiffer: (text) => void said.push(text),
      onAgree: () => void said.push('agree'),
    });
    const instance: Instance = { settings, agreement, said };
    return instance;
  });
  const update = (): void => instances.forEach(({ agreement }) => agreement.update());
  for (const { agreement } of instances) agreement.update(true);
  return { clock, members, messages, instances, update };
}

test('instances with the same settings exchange a digest when they join only, and say nothing', () => {
  const { clock, messages, instances, update } = stage({ a: '1', b: '2' }, { b: '2', a: '1' });
  update();
  clock.advance(60_000);
  assert.deepEqual(
    messages.map((text) => text.split('\n')[1]),
    ['is', 'is'],
  );
  assert.deepEqual([instances[0]!.said, instances[0]!.agreement.differences, clock.pendingTimers], [[], null, 0]);
});

test('settings that differ for 30 s are reported once, by name and value, at each instance', () => {
  const limits = { 'provider p': 'configured', 'provider p requestsPerMinute': '600' };
  const client = { 'client web': 'configured', 'client web requestsPerMinute': '10' };
  const { clock, instances, update } = stage(limits, { ...limits, ...client, 'provider p requestsPerMinute': '300' });
  clock.advance(29_000);
  assert.deepEqual([instances[0]!.said, instances[0]!.agreement.differences], [[], null]);
  clock.advance(1_000);
  update();
  clock.advance(120_000);
  const [said] = instances[0]!.said;
  assert.equal(
    said,
    'the settings of this instance (host-0) differ from those of host-1: client web is absent here, configured at host-1; ' +
      'provider p requestsPerMinute is 600 here, 300 at host-1',
  );
  assert.equal(instances[0]!.agreement.differences, said);
  assert.deepEqual([instances[0]!.said.length, instances[1]!.said.length], [1, 1]);
});

test('settings are requested once, shortly before the report', () => {
  const { clock, messages, instances } = stage({ a: '1' }, { a: '1' }, { a: '1' });
  const kinds = (): string[] => messages.splice(0).map((text) => text.split('\n')[1]!);
  kinds();
  for (const a of ['2', '3', '4']) {
    instances[0]!.settings = { a };
    instances[0]!.agreement.update();
    clock.advance(10_000);
  }
  assert.deepEqual([...new Set(kinds())], ['is']);
  clock.advance(20_000);
  const [asked, sent] = [kinds(), instances.map(({ said }) => said.length)];
  assert.deepEqual([asked.filter((kind) => kind === 'is').length, sent], [0, [1, 1, 1]]);
  assert.ok(asked.filter((kind) => kind === 'has').length <= 3, asked.join(' '));
  assert.match(instances[1]!.said[0]!, /a is 1 here, 4 at host-0$/);
});

test('many instances that request the settings of one get them with one message', () => {
  const { clock, messages } = stage({ a: '2' }, ...Array.from({ length: 50 }, () => ({ a: '1' })));
  clock.advance(30_000);
  assert.ok(messages.filter((text) => text.startsWith('settings\nhas\nm0\n')).length === 1);
});

test('a rolling reload is not reported, and one that stops halfway is', () => {
  const { clock, messages, instances } = stage({ a: '1' }, { a: '1' }, { a: '1' });
  for (const instance of instances) {
    instance.settings = { a: '2' };
    instance.agreement.update();
    clock.advance(20_000);
  }
  clock.advance(60_000);
  assert.ok(
    messages.every((text) => text.startsWith('settings\nis\n')),
    'no settings are exchanged',
  );
  assert.deepEqual(
    instances.flatMap(({ said }) => said),
    [],
  );
  instances[0]!.settings = { a: '3' };
  instances[0]!.agreement.update();
  clock.advance(30_000);
  assert.match(instances[0]!.said[0]!, /those of host-1; host-2: a is 3 here, 2 at host-1$/);
  instances[0]!.settings = { a: '2' };
  instances[0]!.agreement.update();
  assert.deepEqual([instances[0]!.said.slice(1), instances[1]!.said.slice(1), clock.pendingTimers], [['agree'], ['agree'], 0]);
});

test('an instance that has left does not count, and a stopped one leaves no timer', () => {
  const { clock, members, instances, update } = stage({ a: '1' }, { a: '2' });
  members.pop();
  update();
  clock.advance(60_000);
  assert.deepEqual(instances[0]!.said, []);
  const { clock: other, instances: both } = stage({ a: '1' }, { a: '2' });
  for (const { agreement } of both) agreement.stop();
  assert.equal(other.pendingTimers, 0);
});

test('a message that arrives after the stop schedules nothing', () => {
  const { clock, instances } = stage({ a: '1' }, { a: '1' });
  instances[0]!.agreement.stop();
  instances[1]!.settings = { a: '2' };
  instances[1]!.agreement.update();
  instances[1]!.agreement.stop();
  assert.equal(clock.pendingTimers, 0);
});

test('many differences and instances are counted, and long lists cut', () => {
  const many = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`limit ${i}`, 'x'.repeat(300)]));
  const { clock, instances } = stage({ a: '1' }, many, many, many, many);
  clock.advance(30_000);
  assert.match(instances[0]!.said[0]!, /host-1; host-2; host-3 and 1 more: .* and 496 more$/);
  assert.ok(instances[0]!.said[0]!.length < 2_000);
});

test('messages that can not be read or are of unknown instances change nothing', () => {
  const { clock, instances } = stage({ a: '1' }, { a: '1' });
  const { agreement, said } = instances[0]!;
  for (const lines of [[], ['is'], ['is', 'm9', 'x', 'host-9'], ['has', 'm1', 'x', '{'], ['has', 'm9'], ['ask', 'm9'], ['other']])
    agreement.take(lines);
  clock.advance(60_000);
  assert.deepEqual([said, clock.pendingTimers], [[], 0]);
});

test('a key that differs is named without its digest', () => {
  const { clock, instances } = stage({ 'client web key': 'abc' }, { 'client web key': 'def' });
  clock.advance(30_000);
  assert.match(instances[0]!.said[0]!, /host-1: client web key differs from that at host-1$/);
});

test('settings beyond those that are sent are not called absent', () => {
  const many = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`limit ${i}`, '1']));
  const { clock, instances } = stage(many, { ...many, 'limit 0': '2' });
  clock.advance(30_000);
  assert.match(instances[0]!.said[0]!, /: limit 0 is 1 here, 2 at host-1$/);
});

test('the last one to join gets the settings of those that have other ones', () => {
  const { clock, members, instances } = stage({ a: '1' }, { a: '1' }, { a: '2' });
  assert.equal(members.length, 3);
  clock.advance(30_000);
  assert.match(instances[2]!.said[0]!, /from those of host-0; host-1: a is 2 here, 1 at host-0$/);
});
