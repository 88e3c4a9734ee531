import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCount } from './frames.ts';
import { activity, now, point, stateWith, target } from './sample-state.ts';
import { othersText, sentenceOf } from './sentence.ts';
import { targetRows } from './target-rows.ts';

function sentence(change: Parameters<typeof stateWith>[0], recent: Parameters<typeof point>[0] = {}) {
  const state = stateWith(change);
  return sentenceOf(state, [point({ at: now - 5_000, ...recent })], targetRows(state));
}

const failing = activity({
  calls: 40,
  failed: 31,
  causes: [
    { text: '503 overloaded', count: 25 },
    { text: 'connection broken before the response', count: 6 },
  ],
});
const good = { received: 60, succeeded: 60 };

test('without requests or problems it is quiet', () => {
  const { tone, headline, impact } = sentence({ targets: [target()] });
  assert.deepEqual([tone, headline, impact], ['good', 'Quiet: no requests in the last minute.', 'Nothing waits.']);
});

test('healthy under load', () => {
  const { tone, headline, impact } = sentence({ targets: [target()], activity: [activity()] }, good);
  assert.deepEqual([tone, headline], ['good', 'All targets respond.']);
  assert.equal(impact, 'Callers see no errors: 60 requests completed in the last minute.');
});

test('an open breaker is named with its failures, and whether callers are affected', () => {
  const down = target({ breaker: { state: 'open', openForMs: 4_000, failureRatio: 0.8 } });
  const hidden = sentence({ targets: [down], activity: [failing] }, good);
  assert.equal(hidden.headline, 'north/writer is down: 31 of 40 calls failed, most with 503 overloaded; next probe in 4.0 s.');
  assert.equal(hidden.tone, 'warn');
  assert.match(hidden.impact, /no errors/);
  const seen = sentence({ targets: [down], activity: [failing] }, { received: 60, succeeded: 40, failed: 15, refused: 5 });
  assert.equal(seen.tone, 'bad');
  assert.match(seen.impact, /Callers see errors: 20 of 60 requests in the last minute \(33 %\)/);
});

test('the biggest cause comes first, then the others', () => {
  const said = sentence({
    targets: [
      target({ target: 'south/writer', cooldownMs: 125_000 }),
      target(),
      target({ target: 'east/writer', breaker: { state: 'isolated', openForMs: null, failureRatio: 0 } }),
    ],
    activity: [failing],
  });
  assert.match(said.headline, /^north\/writer is failing: 31 of 40 calls failed/);
  assert.deepEqual(said.others[0], 'east/writer is isolated by an operator');
  assert.match(said.others[1]!, /^south\/writer is limited until \d\d:02$/);
});

test('a rejected key comes before all other causes', () => {
  const quarantine = { reason: 'auth', status: 401, code: null, message: 'bad key' } as const;
  const said = sentence({
    targets: [target({ quarantinedMs: 30_000, quarantine }), target({ target: 'south/writer' })],
    activity: [failing],
  });
  assert.equal(said.headline, 'north/writer: key refused, tried again in 30 s.');
});

test('one of several rejected keys is not an outage', () => {
  const said = sentence({ targets: [target({ quarantinedMs: 30_000 }), target({ credential: 2 })], activity: [activity()] }, good);
  assert.equal(said.headline, 'north/writer: 1 of 2 keys quarantined.');
  assert.equal(said.tone, 'warn');
});

test('a used-up limit is reported only if requests wait for it', () => {
  const full = target({ limits: [{ kind: 'concurrency', limit: 8, available: 0 }], inFlight: 8 });
  assert.equal(sentence({ targets: [full], activity: [activity()] }, good).headline, 'All targets respond.');
  const waiting = sentence({ targets: [full], activity: [activity()], queue: { waiting: 34, oldestMs: 8_000 } }, good);
  assert.equal(waiting.headline, 'north/writer is at its limit (concurrency).');
  assert.match(waiting.impact, /34 wait, the longest for 8\.0 s\./);
  assert.equal(waiting.tone, 'warn');
});

test('the next possible start is stated if known', () => {
  const why = [{ target: 'north/writer', kind: 'requests', waitMs: 4_000 } as const];
  const group = {
    model: 'summary',
    priority: 'normal',
    waiting: 34,
    targets: ['north/writer'],
    waitedMs: 8_000,
    leftMs: 9_000,
    startsInMs: 21_000,
    why,
  } as const;
  const said = sentence({ targets: [target()], activity: [activity()], queue: { waiting: 34, oldestMs: 8_000, groups: [group] } }, good);
  assert.equal(said.headline, '34 requests wait, the longest for 8.0 s.');
  const full = target({ limits: [{ kind: 'requestsPerMinute', limit: 60, available: 0 }] });
  const limited = sentence({ targets: [full], activity: [activity()], queue: { waiting: 34, oldestMs: 8_000, groups: [group] } }, good);
  assert.match(limited.impact, /34 wait, the longest for 8\.0 s; one more would start in 21 s\.$/);
});

test('errors without a failing target are not calm', () => {
  const said = sentence({ targets: [target()], activity: [activity()] }, { received: 60, succeeded: 30, refused: 30 });
  assert.deepEqual([said.tone, said.headline], ['bad', 'Requests fail although no target is failing.']);
});

test('a gateway that shuts down is reported', () => {
  const said = sentence({ phase: 'draining', queue: { inFlight: 3 } });
  assert.equal(`${said.headline} ${said.impact}`, 'Shutting down: new requests are refused. 3 requests still running.');
});

test('models that end within a month are named last, the nearest first', () => {
  const endings = [
    { target: 'north/writer', endsOn: '2026-12-20', daysLeft: 20, successor: 'writer-2' },
    { target: 'south/writer', endsOn: '2026-11-01', daysLeft: -29, successor: null },
    { target: 'east/writer', endsOn: '2027-02-20', daysLeft: 82, successor: null },
  ];
  const said = sentence({ targets: [target()], activity: [activity()], endings }, good);
  assert.equal(said.headline, 'All targets respond.');
  assert.deepEqual(said.others, [
    'the model of south/writer was shut down on 2026-11-01',
    'the model of north/writer is shut down on 2026-12-20; its successor is writer-2',
  ]);
});

const budgetOf = (client: string, available: number) => ({ client, kind: 'budget', limit: 10, available });
const spent = (...clients: string[]) => ({ clientLimits: clients.map((client) => budgetOf(client, 0)) });
const overBudget = (client: string, refused: number) => ({
  client,
  requests: refused + 1,
  failed: 0,
  refused,
  rejected: 0,
  overBudget: refused,
  overBudgetAt: now - 120_000,
});

test('a spent budget is named with the requests it refuses; what fails more often comes first', () => {
  const alone = sentence(
    { ...spent('web'), clients: [overBudget('web', 120)], targets: [target()] },
    { received: 130, succeeded: 10, refused: 120 },
  );
  assert.deepEqual([alone.tone, alone.headline], ['bad', '120 requests refused in 5 minutes: the budget of client web is spent.']);
  const both = sentence({ ...spent('web'), clients: [overBudget('web', 20)], targets: [target()], activity: [failing] });
  assert.match(both.headline, /^north\/writer is failing/);
  assert.deepEqual(both.others, ['20 requests refused in 5 minutes: the budget of client web is spent']);
});

test('a budget that is behind few of the errors is not the headline', () => {
  const full = sentence(
    { ...spent('web'), clients: [overBudget('web', 1)], targets: [target()], queue: { waiting: 34, oldestMs: 8_000, groups: [] } },
    { received: 60, succeeded: 10, refused: 50 },
  );
  assert.equal(full.headline, '34 requests wait, the longest for 8.0 s.');
  assert.deepEqual(full.others, ['1 request refused in 5 minutes: the budget of client web is spent']);
});

test('several spent budgets are one cause, and a budget that is nearly spent is mentioned', () => {
  const limited = { client: 'busy', requests: 10, failed: 0, refused: 9, rejected: 0, overBudget: 0, overBudgetAt: null };
  const several = sentence({ ...spent('web', 'bot'), clients: [overBudget('web', 2), overBudget('bot', 7), limited], targets: [target()] });
  assert.equal(several.headline, '9 requests refused in 5 minutes: the budgets of clients bot and web are spent.');
  const many = sentence({ clients: ['a', 'b', 'c', 'd', 'e'].map((name) => overBudget(name, 2)), targets: [target()] });
  assert.match(many.headline, /the budgets of clients a, b, c and 2 more had no room for them\.$/);
  const also = sentence({ ...spent('web', 'bot', 'app'), clients: [overBudget('web', 2)], targets: [target()] });
  assert.deepEqual(also.others, ['Budgets of clients bot (100 %) and app (100 %) are nearly spent']);
  const nearly = sentence({ clientLimits: [budgetOf('rich', 5), budgetOf('app', 0.7)], targets: [target()] }, good);
  assert.deepEqual([nearly.tone, nearly.headline], ['warn', 'Budget of client app is 93 % spent.']);
});

test('a budget that has no room for a request is not called spent, and a spent one says when it is renewed', () => {
  const clients = [overBudget('web', 3)];
  const refused = { received: 10, succeeded: 7, refused: 3 };
  const large = sentence({ clientLimits: [budgetOf('web', 9.5)], clients, targets: [target()] }, refused);
  assert.equal(large.headline, '3 requests refused in 5 minutes: the budget of client web has too little left for them ($9.50 of $10.00).');
  const over = sentence({ clientLimits: [{ ...budgetOf('web', 0), renewsInMs: 45_000 }], clients, targets: [target()] }, refused);
  assert.equal(over.headline, '3 requests refused in 5 minutes: the budget of client web is spent, renewed in 45 s.');
  const monthly = sentence({ clientLimits: [{ ...budgetOf('web', 0), renewsInMs: 6.3 * 86_400_000 }], clients }, refused);
  assert.match(monthly.headline, /is spent, renewed in 6 days\.$/);
  const unknown = sentence({ clients, targets: [target()] }, refused);
  assert.match(unknown.headline, /the budget of client web had no room for them\.$/);
});

test('refusals from before a renewal of the budget say nothing of it', () => {
  const renewed = (secondsAgo: number) => ({ ...budgetOf('web', 10), renewedAt: now - secondsAgo * 1_000 });
  const saidOf = (secondsAgo: number) =>
    sentence({ clientLimits: [renewed(secondsAgo)], clients: [overBudget('web', 3)], targets: [target()] });
  assert.doesNotMatch(saidOf(60).headline, /refused|budget/);
  assert.match(saidOf(180).headline, /^3 requests refused in 5 minutes: .* has too little left for them/);
});

test('a budget that is renewed at this instant is not said to be probed', () => {
  const said = sentence({ clientLimits: [{ ...budgetOf('web', 0), renewsInMs: 0 }], clients: [overBudget('web', 3)], targets: [target()] });
  assert.match(said.headline, /the budget of client web is spent, renewed in 0 ms\.$/);
});

const rejected = (change: Partial<ErrorCount> = {}): ErrorCount => ({
  code: 'invalid_api_key',
  client: null,
  isRejected: true,
  model: null,
  requests: 412,
  callerVisible: 0,
  ...change,
});

test('callers whom a reload has locked out are the headline, and count as errors', () => {
  const errors = [rejected({ client: 'web', callerVisible: 412 })];
  const said = sentence({ errors, targets: [target()] }, { rejected: 412, succeeded: 3, received: 3 });
  assert.equal(said.headline, '412 requests of the last minute were rejected: unknown API key (client web, accepted before a reload).');
  assert.equal(said.impact, 'Callers see errors: 412 of 415 requests in the last minute (99.3 %), all with invalid_api_key.');
  assert.equal(said.tone, 'bad');
});

test('the errors of a minute are counted in the same intervals as their codes', () => {
  const state = { ...stateWith({ errors: [rejected({ client: 'web', callerVisible: 412 })] }), at: now + 3_000 };
  const points = [point({ at: now - 65_000, rejected: 7 }), point({ at: now - 60_000, rejected: 412 })];
  assert.match(sentenceOf(state, points, []).impact, /^Callers see errors: 412 of 412 requests/);
});

test('several locked-out clients and a removed model are named', () => {
  const byModel = { code: 'model_not_found', model: 'fast' } as const;
  const errors = ['web', 'app', 'bot', 'cron'].map((client) => rejected({ client, requests: 10, callerVisible: 10, ...byModel }));
  const said = sentence({ errors, targets: [target()] }, { rejected: 40 });
  assert.equal(
    said.headline,
    '40 requests of the last minute were rejected: unknown model fast (clients web, app and 2 more, served before).',
  );
  const session = sentence(
    { errors: [rejected({ client: 'agents', code: 'rate_limited', requests: 9, callerVisible: 9 })] },
    { rejected: 9 },
  );
  assert.equal(session.headline, '9 requests of the last minute were rejected: limit of a session (client agents).');
});

test('a scanner without a known key is no headline; unknown keys that are most of the traffic are mentioned without an alarm', () => {
  const few = sentence({ errors: [rejected({ requests: 8 })], targets: [target()] });
  assert.deepEqual([few.tone, few.headline], ['good', 'Quiet: no requests in the last minute.']);
  const many = sentence({ errors: [rejected()], targets: [target()] });
  assert.deepEqual(
    [many.tone, many.headline],
    ['warn', '412 requests of the last minute were rejected: unknown API key (client unknown).'],
  );
  const besideTraffic = sentence({ errors: [rejected({ requests: 50 })], targets: [target()] }, good);
  assert.deepEqual([besideTraffic.tone, besideTraffic.headline], ['good', 'All targets respond.']);
});

test('rejections that are behind few of the errors come after what is behind most', () => {
  const errors = [rejected({ client: 'web', requests: 3, callerVisible: 3 })];
  const said = sentence({ errors, targets: [target()], activity: [failing] }, { received: 60, succeeded: 29, failed: 31, rejected: 3 });
  assert.match(said.headline, /^north\/writer is failing/);
  assert.deepEqual(said.others, ['3 requests of the last minute were rejected: unknown API key (client web, accepted before a reload)']);
});

test('errors without a failing target are explained by their codes', () => {
  const of = (code: ErrorCount['code'], requests: number) =>
    rejected({ code, client: 'web', isRejected: false, requests, callerVisible: requests });
  const points = { received: 60, succeeded: 30, refused: 30 };
  const full = sentence({ errors: [of('queue_full', 30)], targets: [target()] }, points);
  assert.equal(full.headline, 'Requests fail although no target is failing: the queue is full.');
  assert.equal(full.impact, 'Callers see errors: 30 of 60 requests in the last minute (50 %), all with queue_full.');
  const mixed = sentence({ errors: [of('deadline_exceeded', 24), of('rate_limited', 6)], targets: [target()] }, points);
  assert.equal(mixed.headline, 'Requests fail although no target is failing: their deadlines pass first (80 % of them).');
  assert.match(mixed.impact, /, most with deadline_exceeded\.$/);
  const own = sentence({ errors: [of('upstream_error', 30)], targets: [target()] }, points);
  assert.match(own.headline, /: their providers’ own errors are passed on\.$/);
  assert.match(own.impact, /, all with upstream_error \(the provider’s own error, passed on with its own code\)\.$/);
});

test('what explains the errors that callers see now comes before what harms none of them', () => {
  const of = (code: ErrorCount['code'], requests: number) =>
    rejected({ code, client: 'web', isRejected: false, requests, callerVisible: requests });
  const down = target({ breaker: { state: 'open', openForMs: 4_000, failureRatio: 0.8 } });
  const budget = {
    ...spent('web'),
    clients: [overBudget('web', 12)],
    targets: [down],
    activity: [{ ...failing, calls: 900, failed: 700 }],
  };
  const refused = sentence({ ...budget, errors: [of('budget_exceeded', 12)] }, { received: 60, succeeded: 48, refused: 12 });
  assert.match(refused.headline, /^12 requests refused in 5 minutes: the budget of client web is spent/);
  assert.match(refused.others[0]!, /^north\/writer is down/);
  const failed = sentence({ ...budget, errors: [of('all_targets_failed', 20)] }, { received: 60, succeeded: 40, failed: 20 });
  assert.match(failed.headline, /^north\/writer is down/);
  const invalid = sentence(
    { targets: [down], activity: [failing], errors: [of('invalid_request', 30)] },
    { received: 60, succeeded: 30, refused: 30 },
  );
  assert.deepEqual([invalid.tone, invalid.headline], ['bad', 'Requests fail: they are invalid.']);
  assert.match(invalid.others[0]!, /^north\/writer is down/);
});

test('of two failing targets the one that fails more now comes first', () => {
  const strip = (before: number, last: number) =>
    [...Array.from({ length: 40 }, () => [before, before]), ...Array.from({ length: 12 }, () => [last, last])].flat();
  const of = (name: string, calls: number, bars: number[]) => activity({ target: name, calls, failed: calls, strip: bars });
  const said = sentence({
    targets: [target(), target({ target: 'south/writer' })],
    activity: [of('north/writer', 400, strip(10, 1)), of('south/writer', 60, strip(0, 5))],
  });
  assert.match(said.headline, /^south\/writer is failing/);
});

test('sessions that their limits stop are no headline while callers see few errors', () => {
  const errors = [rejected({ client: 'agents', code: 'rate_limited', requests: 5, callerVisible: 5 })];
  const said = sentence({ errors, targets: [target()], activity: [activity()] }, { received: 995, succeeded: 995, rejected: 5 });
  assert.deepEqual([said.tone, said.headline], ['good', 'All targets respond.']);
  assert.deepEqual(said.others, ['5 requests of the last minute were rejected: limit of a session (client agents)']);
  const locked = sentence(
    { errors: [rejected({ client: 'web', requests: 5, callerVisible: 5 })], targets: [target()], activity: [activity()] },
    { received: 995, succeeded: 995, rejected: 5 },
  );
  assert.deepEqual([locked.tone, locked.headline], ['warn', 'All targets respond.'], 'the edge is amber');
});

test('an open breaker without requests is probed with the next one, and is no alarm', () => {
  const due = target({ breaker: { state: 'open', openForMs: 0, failureRatio: 1 } });
  const idle = sentence({ targets: [due] });
  assert.deepEqual([idle.tone, idle.headline], ['warn', 'north/writer: breaker open, probed with the next request.']);
  const served = sentence({ targets: [due], activity: [activity({ calls: 4, failed: 0 })] });
  assert.equal(served.headline, 'north/writer is down; probed with the next request.', 'its row is red too');
  const busy = sentence({ targets: [due], activity: [failing] });
  assert.match(busy.headline, /most with 503 overloaded; probed with the next request\.$/);
});

test('the line of other problems says how many there are', () => {
  assert.equal(othersText([]), '');
  assert.equal(othersText(['a is down']), 'Also: a is down.');
  assert.equal(othersText(['a', 'b']), 'Also 2 other problems: a; b.');
  const targets = ['a/m', 'b/m', 'c/m', 'd/m', 'e/m', 'f/m'].map((name) => target({ target: name, cooldownMs: 5_000 }));
  assert.equal(
    othersText(sentence({ targets }).others),
    'Also 5 other problems: b/m is limited for 5.0 s; c/m is limited for 5.0 s; d/m is limited for 5.0 s; …',
  );
});

test('a full queue is named before the limits behind it', () => {
  const limits = [{ kind: 'concurrency', limit: 8, available: 0 }];
  const targets = [target({ limits }), target({ target: 'south/writer', limits: [{ ...limits[0]!, kind: 'requestsPerMinute' }] })];
  const queue = { waiting: 30, oldestMs: 17_000 };
  const errors = [rejected({ code: 'queue_full', client: 'web', isRejected: false, requests: 50, callerVisible: 50 })];
  const full = sentence({ targets, queue, errors }, { received: 60, succeeded: 10, refused: 50 });
  assert.equal(
    full.headline,
    'Requests fail, as the queue is full: north/writer (concurrency) and south/writer (req/min) are at their limits.',
  );
  assert.deepEqual(full.others, []);
  assert.equal(sentence({ targets, queue }, good).headline, 'north/writer (concurrency) and south/writer (req/min) are at their limits.');
});

test('requests that wait for the next period of a budget say so', () => {
  const why = [{ target: 'north/writer', kind: 'budget', waitMs: 480_000 } as const];
  const group = { model: 'summary', priority: 'normal', waiting: 3, targets: ['north/writer'], waitedMs: 8_000, leftMs: 9_000 } as const;
  const said = sentence({ queue: { waiting: 3, oldestMs: 8_000, groups: [{ ...group, startsInMs: 480_000, why }] } }, good);
  assert.equal(said.headline, '3 requests wait for room in a budget, the longest for 8.0 s.');
});
