import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { FleetSurvey, type InstanceFigures } from './fleet-survey.ts';

const figures = (inFlight: number, more: Partial<InstanceFigures> = {}): InstanceFigures => ({
  waiting: 0,
  waitingByPriority: {},
  inFlight,
  oldestMs: 0,
  inFlightByTarget: {},
  ...more,
});

/** The instance `a` of a fleet; `reply` sends a report of another one to the last question. */
function createStage(members: readonly string[], own = figures(1)) {
  const clock = createManualClock();
  const asked: string[] = [];
  const status = { member: 'a' as string | null, members, isLinked: true };
  const survey = new FleetSurvey({ clock, publish: (text) => asked.push(text), status: () => status, own: () => own });
  const reply = (from: string, report: unknown): void => {
    const [, , asker, round] = asked.at(-1)!.split('\n');
    survey.take(['report', asker!, round!, from, typeof report === 'string' ? report : JSON.stringify(report)]);
  };
  return { clock, asked, status, survey, reply };
}

test('the figures of all instances are summed once all have reported', async () => {
  const own = figures(1, { waiting: 2, waitingByPriority: { high: 2 }, oldestMs: 50, inFlightByTarget: { 'p/m': 1 } });
  const { survey, reply } = createStage(['a', 'b', 'c'], own);
  const asked = survey.ask();
  reply('b', figures(3, { waiting: 1, waitingByPriority: { low: 1 }, oldestMs: 70, inFlightByTarget: { 'p/m': 2, 'q/m': 1 } }));
  reply('c', figures(10));
  assert.deepEqual(await asked, {
    instance: 'a',
    instances: 3,
    isLinked: true,
    reported: 3,
    waiting: 3,
    waitingByPriority: { high: 2, low: 1 },
    inFlight: 14,
    oldestMs: 70,
    inFlightByTarget: { 'p/m': 3, 'q/m': 1 },
  });
});

test('an instance that does not report is left out after 200 ms', async () => {
  const { clock, survey, reply } = createStage(['a', 'b', 'c']);
  const asked = survey.ask();
  reply('b', figures(3));
  await clock.advanceAsync(200);
  const { instances, reported, inFlight } = await asked;
  assert.deepEqual([instances, reported, inFlight], [3, 2, 4]);
  assert.equal(clock.pendingTimers, 0);
});

test('a second question meanwhile waits for the same reports', async () => {
  const { clock, asked, survey, reply } = createStage(['a', 'b', 'c']);
  const first = survey.ask();
  await clock.advanceAsync(100);
  reply('b', figures(3));
  const second = survey.ask();
  reply('c', figures(5));
  const sums = [await first, await second].map(({ reported, inFlight }) => [reported, inFlight]);
  assert.deepEqual(sums, [
    [3, 9],
    [3, 9],
  ]);
  assert.equal(asked.length, 1);
});

test('reports are used for a second, and asked for again after it', async () => {
  const { clock, asked, survey, reply } = createStage(['a', 'b']);
  const first = survey.ask();
  reply('b', figures(3));
  await first;
  await clock.advanceAsync(900);
  assert.equal((await survey.ask()).inFlight, 4);
  assert.equal(asked.length, 1);
  await clock.advanceAsync(200);
  const again = survey.ask();
  reply('b', figures(7));
  assert.equal((await again).inFlight, 8);
});

test('the report of an instance that has left the fleet no longer counts', async () => {
  const { status, survey, reply } = createStage(['a', 'b']);
  const first = survey.ask();
  reply('b', figures(3));
  assert.equal((await first).inFlight, 4);
  status.members = ['a'];
  const { instances, reported, inFlight } = await survey.ask();
  assert.deepEqual([instances, reported, inFlight], [1, 1, 1]);
});

test('without the store the figures are of this instance alone', async () => {
  const { status, survey, reply } = createStage(['a', 'b']);
  const first = survey.ask();
  reply('b', figures(3));
  await first;
  status.isLinked = false;
  const { isLinked, reported, inFlight } = await survey.ask();
  assert.deepEqual([isLinked, reported, inFlight], [false, 1, 1]);
});

test('reports that can not be read, of other rounds or of strangers are ignored', async () => {
  const { clock, survey, reply } = createStage(['a', 'b', 'c']);
  const asked = survey.ask();
  for (const report of ['', '{', 'null', '{}', { ...figures(1), waiting: 'two' }, { ...figures(1), inFlightByTarget: { m: null } }]) {
    reply('b', report);
  }
  reply('x', figures(100));
  survey.take(['report', 'a', '99', 'c', JSON.stringify(figures(100))]);
  survey.take(['report', 'b', '1', 'c', JSON.stringify(figures(100))]);
  survey.take(['report']);
  await clock.advanceAsync(200);
  const { reported, inFlight } = await asked;
  assert.deepEqual([reported, inFlight], [1, 1]);
});

test('a question of another instance is answered with the busiest targets', () => {
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`p/${i}`, i]));
  const { asked, status, survey } = createStage(['a', 'b'], figures(1, { inFlightByTarget: many }));
  survey.take(['ask', 'b', '7']);
  const [channel, kind, asker, round, from, text] = asked[0]!.split('\n');
  assert.deepEqual([channel, kind, asker, round, from], ['survey', 'report', 'b', '7', 'a']);
  const counts = Object.values((JSON.parse(text!) as InstanceFigures).inFlightByTarget);
  assert.deepEqual([counts.length, Math.min(...counts)], [200, 100]);
  status.member = null;
  survey.take(['ask', 'b', '8']);
  assert.equal(asked.length, 1);
});
