import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SilenceRecord, type CallKind } from '../policy/latency/silence.ts';
import { LearnedRate } from '../policy/rate-limiter/learned-rate.ts';
import type { RateLimit } from '../policy/rate-limiter/shared-limit.ts';
import { createManualClock, type ManualClock } from '../testing/manual-clock.ts';
import { MESSAGE_MAX } from './learned-message.ts';
import { SharedLearning, type LearningRates, type LearningSubject } from './shared-learning.ts';

const STREAM: CallKind = { stream: true, usesReasoning: false, local: false, outputBound: null };
const MINUTE = 60_000;

/** The rates of one key, as the pipeline has them. */
function makeRates(scope: string): LearningRates {
  const make = (kind: 'requests' | 'tokens'): LearnedRate =>
    new LearnedRate({ id: `${scope} ${kind}`, kind, enforce: 'bucket', startsCarefully: false, isConfigured: false, configured: [] });
  const [requests, tokens] = [make('requests'), make('tokens')];
  const all = (of: (rate: LearnedRate) => readonly object[]): RateLimit[] =>
    [requests, tokens].flatMap((rate) => of(rate).map((limit) => ({ rate: rate.id, ...limit }) as RateLimit));
  return {
    requests,
    tokens,
    takeNews: (now) => all((rate) => rate.takeNews(now)),
    share: (now) => all((rate) => rate.share(now)),
    adopt: (now, rate, limit) => rate.adopt(now, limit).hasOpened,
  };
}

interface Instance {
  readonly subjects: LearningSubject[];
  readonly learning: SharedLearning;
  readonly sent: string[];
  readonly state: { isLinked: boolean; opened: number };
}

/** Instances that receive each other's messages at once. */
function stage(count: number, targets = ['p/m']) {
  const clock = createManualClock();
  const all: Instance[] = [];
  const join = (): Instance => {
    const member = `m${all.length}`;
    const subjects = targets.map((name) => ({ name, silence: new SilenceRecord(), rates: makeRates(name) }));
    const state = { isLinked: true, opened: 0 };
    const sent: string[] = [];
    const learning = new SharedLearning({
      clock,
      subjects: () => subjects,
      fleet: () => ({ member, members: all.map((_, i) => `m${i}`), isLinked: state.isLinked }),
      onOpened: () => void state.opened++,
      publish(text) {
        const body = text.slice('learned\n'.length);
        sent.push(body);
        for (const other of all) if (other.learning !== learning && other.state.isLinked) other.learning.take(body);
      },
    });
    const instance = { subjects, learning, sent, state };
    all.push(instance);
    return instance;
  };
  for (let i = 0; i < count; i++) join();
  return { clock, all, join };
}

function report({ subjects, learning }: Instance, clock: ManualClock, remaining: number, limit = 100): void {
  const { requests } = subjects[0]!.rates!;
  const now = clock.now();
  requests.advertise(now, now, { family: 0, counts: 'all', windowMs: MINUTE, limit, remaining });
  if (requests.hasNews) learning.hasLimitNews();
}

const levelOf = ({ subjects }: Instance, clock: ManualClock): number | undefined =>
  subjects[0]!.rates!.requests.known(clock.now())[0]?.available;
const silenceOf = ({ subjects }: Instance): SilenceRecord => subjects[0]!.silence;
const lastOf = ({ sent }: Instance) => JSON.parse(sent.at(-1)!) as { limits?: unknown[]; silences?: { target: string; count: number }[] };

/** All are linked, and have had the replies to what they asked. */
function linkAll({ clock, all }: ReturnType<typeof stage>): void {
  for (const { learning } of all) learning.linked();
  clock.advance(1_000);
  for (const { sent } of all) sent.length = 0;
}

test('a learned limit reaches the others without an echo, and waiting requests are evaluated again', () => {
  const { clock, all } = stage(3);
  report(all[0]!, clock, 40);
  clock.advance(1);
  assert.deepEqual(
    all.map((one) => Math.round(levelOf(one, clock)!)),
    [40, 40, 40],
  );
  clock.advance(10_000);
  assert.deepEqual(
    all.map(({ sent, state }) => [sent.length, state.opened]),
    [
      [1, 0],
      [0, 1],
      [0, 1],
    ],
  );
});

test('changes within 200 ms are one message, and without a change there is neither message nor timer', () => {
  const { clock, all } = stage(2);
  report(all[0]!, clock, 100);
  clock.advance(0);
  for (let remaining = 90; remaining > 50; remaining -= 10) {
    clock.advance(30);
    report(all[0]!, clock, remaining);
  }
  assert.equal(all[0]!.sent.length, 1);
  clock.advance(200);
  assert.equal(all[0]!.sent.length, 2);
  assert.ok(Math.abs(levelOf(all[1]!, clock)! - 60) < 1);
  report(all[0]!, clock, 60);
  assert.equal(clock.pendingTimers, 0);
});

test('what is learned while the store is away is sent once it is back', () => {
  const staged = stage(2);
  const { clock, all } = staged;
  linkAll(staged);
  all[0]!.state.isLinked = false;
  report(all[0]!, clock, 30);
  silenceOf(all[0]!).record(STREAM, 100);
  clock.advance(5_000);
  assert.deepEqual([all[0]!.sent, levelOf(all[1]!, clock)], [[], undefined]);
  all[0]!.state.isLinked = true;
  all[0]!.learning.linked();
  clock.advance(10);
  assert.ok(levelOf(all[1]!, clock)! < 40);
  clock.advance(6_000);
  assert.equal(silenceOf(all[1]!).count, 1);
});

test('silences are sent every five seconds if there are new ones, and the others add them once', () => {
  const staged = stage(2);
  const { clock, all } = staged;
  linkAll(staged);
  for (let i = 1; i <= 100; i++) {
    silenceOf(all[0]!).record(STREAM, i * 10);
    silenceOf(all[1]!).record(STREAM, 2_000);
  }
  clock.advance(5_000);
  assert.deepEqual(
    all.map((one) => [one.sent.length, silenceOf(one).count]),
    [
      [1, 200],
      [1, 200],
    ],
  );
  const [p25, p99] = [0.25, 0.99].map((q) => silenceOf(all[1]!).quantileMs(STREAM, q)!);
  assert.ok(p25! >= 500 && p25! <= 560 && p99! >= 2_000 && p99! <= 2_200, `${p25} ${p99}`);
  assert.equal(silenceOf(all[0]!).slowAfterMs(STREAM), silenceOf(all[1]!).slowAfterMs(STREAM));
  clock.advance(20_000);
  assert.deepEqual(
    all.map(({ sent }) => sent.length),
    [1, 1],
  );
});

test('the silence of a call that lost a race counts elsewhere as at least its elapsed time too', () => {
  const staged = stage(2);
  linkAll(staged);
  const [first, second] = staged.all.map(silenceOf);
  for (let i = 0; i < 90; i++) first!.record(STREAM, 100);
  for (let i = 0; i < 10; i++) first!.record(STREAM, 3_000);
  staged.clock.advance(5_000);
  assert.equal(second!.quantileMs(STREAM, 0.95), first!.quantileMs(STREAM, 0.95));
  assert.ok(second!.quantileMs(STREAM, 0.95)! >= 3_000);
});

test('a newcomer gets all that is known, from one of the others', () => {
  const { clock, all, join } = stage(4);
  report(all[0]!, clock, 70);
  for (let i = 0; i < 300; i++) silenceOf(all[0]!).record(STREAM, 100 + i);
  for (const { learning } of all) learning.linked();
  clock.advance(6_000);
  for (const { sent } of all) sent.length = 0;
  const newcomer = join();
  newcomer.learning.linked();
  clock.advance(1_500);
  assert.equal(silenceOf(newcomer).count, 300);
  assert.equal(silenceOf(newcomer).quantileMs(STREAM, 0.99), silenceOf(all[0]!).quantileMs(STREAM, 0.99));
  // 10 are refilled within six seconds.
  assert.ok(levelOf(newcomer, clock)! > 79 && levelOf(newcomer, clock)! < 84);
  assert.deepEqual(
    all.map(({ sent }) => sent.length),
    [1, 0, 0, 0, 1],
  );
  assert.equal(silenceOf(all[1]!).count, 300, 'nothing is added twice');
});

test('a reply of an instance that has learned little does not keep another one from replying', () => {
  const { clock, all } = stage(3);
  silenceOf(all[0]!).record(STREAM, 100);
  for (let i = 0; i < 60; i++) silenceOf(all[1]!).record(STREAM, 500);
  all[2]!.learning.linked();
  clock.advance(400);
  assert.ok(silenceOf(all[2]!).count >= 60);
});

test('what a newcomer has measured itself is not lost with the history that it gets', () => {
  const { clock, all } = stage(2);
  for (let i = 0; i < 60; i++) silenceOf(all[0]!).record(STREAM, 100);
  silenceOf(all[1]!).record(STREAM, 5_000);
  for (const { learning } of all) learning.linked();
  clock.advance(6_000);
  assert.deepEqual(
    all.map((one) => silenceOf(one).count),
    [61, 61],
  );
});

test('messages are bounded: what is beyond follows in the next ones, and every target has its turn', () => {
  const names = Array.from({ length: 600 }, (_, i) => `provider/${'x'.repeat(400)}-${i}`);
  const staged = stage(2, names);
  const { clock, all } = staged;
  linkAll(staged);
  const record = (): void => all[0]!.subjects.forEach(({ silence }) => silence.record(STREAM, 100));
  record();
  for (let i = 0; i < 5; i++) {
    clock.advance(5_000);
    record();
  }
  assert.ok(all[0]!.sent.every((body) => body.length < MESSAGE_MAX + 2_000));
  assert.ok(all[0]!.sent.length <= 5);
  assert.ok(all[1]!.subjects.every(({ silence }) => silence.count > 0));
});

test('unreadable messages, invalid entries and those of another version do no harm', () => {
  const { clock, all } = stage(1);
  const [instance] = all as [Instance];
  const silences = { target: 'p/m', kind: 2, count: 1, longestMs: 5, steps: [10, 1] };
  const limit = { rate: 'p/m requests', family: 0, counts: 'all', windowMs: MINUTE, limit: 100, isGuess: false, remaining: 5, startedAgoMs: 0, agoMs: 0 }; // prettier-ignore
  const badSilences = {
    kind: [64, -5, 1.5],
    count: [-1, 1e10],
    longestMs: ['x'],
    steps: ['x', [1], [160, 1], [1, -1], [0.5, 1], Array(400).fill(1)],
    target: [7, 'unknown'],
  };
  const badLimits = {
    family: [-1],
    counts: ['x'],
    windowMs: [0],
    limit: [0, null],
    isGuess: [1],
    remaining: ['x'],
    agoMs: [-1, 9],
    startedAgoMs: [null],
    rate: [3, 'unknown'],
  };
  const withEach = (entry: object, wrong: Record<string, readonly unknown[]>): object[] =>
    Object.entries(wrong).flatMap(([name, values]) => values.map((value) => ({ ...entry, [name]: value })));
  for (const body of ['', '{', 'null', '[]', '{}', '{"version":1}', '{"version":1,"silences":{}}', '{"version":1,"limits":[null,3]}'])
    instance.learning.take(body);
  instance.learning.take(JSON.stringify({ version: 1, silences: withEach(silences, badSilences), limits: withEach(limit, badLimits) }));
  instance.learning.take(JSON.stringify({ version: 2, silences: [silences], limits: [limit] }));
  instance.learning.take(`${JSON.stringify({ version: 1, silences: [silences] })}${' '.repeat(MESSAGE_MAX * 4)}`);
  assert.deepEqual([silenceOf(instance).count, levelOf(instance, clock), instance.sent, clock.pendingTimers], [0, undefined, [], 0]);
  instance.learning.take(JSON.stringify({ version: 1, silences: [null, silences], limits: [{}, limit] }));
  assert.deepEqual([silenceOf(instance).count, levelOf(instance, clock)! < 6], [1, true]);
});

test('an instance that leaves sends nothing more and leaves no timer', () => {
  const staged = stage(2);
  const { clock, all } = staged;
  linkAll(staged);
  report(all[0]!, clock, 30);
  all[1]!.learning.take('{"version":1,"wantsReply":true}');
  for (const { learning } of all) learning.stop();
  report(all[0]!, clock, 10);
  all[0]!.learning.linked();
  all[0]!.learning.take('{"version":1,"wantsReply":true}');
  assert.deepEqual([clock.pendingTimers, all[0]!.sent], [0, []]);
});

test('a silence is sent with its target and how often it was recorded', () => {
  const staged = stage(1);
  linkAll(staged);
  const [instance] = staged.all as [Instance];
  for (let i = 0; i < 3; i++) silenceOf(instance).record(STREAM, 100);
  staged.clock.advance(5_000);
  assert.deepEqual(
    lastOf(instance).silences!.map(({ target, count }) => [target, count]),
    [['p/m', 3]],
  );
});
