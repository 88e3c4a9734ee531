import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_KINDS } from './fault-kinds.ts';
import { parseFault } from './fault-text.ts';
import { createFaultPlan } from './faults.ts';
import type { FaultPlan } from './faults.ts';
import type { StormFault } from './options.ts';

/** Kinds applied to calls 1 to `count` of a model. */
function strokes(plan: FaultPlan, count: number, model = 'm', header?: string): (string | undefined)[] {
  return Array.from({ length: count }, (_, index) => {
    const picked = plan.pick({ call: index + 1, model, header, sinceMs: index * 10 });
    return typeof picked === 'string' ? 'wrong' : picked[0]?.kind;
  });
}

test('a fault is written as kind, argument and settings', () => {
  assert.deepEqual(parseFault('429'), { kind: '429' });
  assert.deepEqual(parseFault('429-retry-2'), { kind: '429-retry', retryAfter: '2' });
  assert.deepEqual(parseFault('stall-5; ms=100'), { kind: 'stall', afterTokens: 5, ms: 100 });
  assert.deepEqual(parseFault('400-parameter-logit_bias'), { kind: '400-parameter', param: 'logit_bias' });
  assert.deepEqual(parseFault('500;first=2;every=2'), { kind: '500', calls: { first: 2, every: 2 } });
  assert.deepEqual(parseFault('429; retryAfter=Thu, 01 Jan 1970 00:00:00 GMT'), {
    kind: '429',
    retryAfter: 'Thu, 01 Jan 1970 00:00:00 GMT',
  });
});

test('unknown faults and invalid settings are reported', () => {
  for (const text of ['', 'nonsense', '500-9', 'stall-x', 'stall;ms=soon', 'stall;size=3', '429-retry-']) {
    assert.equal(typeof parseFault(text), 'string', text);
  }
  assert.throws(() => createFaultPlan([{ kind: 'nonsense' as StormFault['kind'] }], 1), /unknown fault kind: nonsense/);
  const mistyped = { kind: '500', probabilty: 0.1 } as StormFault;
  assert.throws(() => createFaultPlan([mistyped], 1), /unknown fault setting: probabilty/);
});

test('several kinds are joined by + and share the settings', () => {
  assert.deepEqual(parseFault('unicode+cut-3; ms=5'), { kind: 'unicode', also: ['cut-3'], ms: 5 });
  const plan = createFaultPlan([{ kind: 'crlf', also: ['split-3', 'gzip'], ms: 1 }], 1);
  assert.deepEqual(plan.pick({ call: 1, model: 'm', header: undefined, sinceMs: 0 }), [
    { kind: 'crlf', ms: 1 },
    { kind: 'split', bytes: 3, ms: 1 },
    { kind: 'gzip', ms: 1 },
  ]);
});

test('a mix picks by weight, the same for the same seed, and may pick none', () => {
  const drawn = (fault: StormFault, seed: number) => strokes(createFaultPlan([fault], seed), 2000);
  const mix: StormFault = { kind: 'mix', of: { '503': 3, 'cut-2': 1, 'crlf+bytes': 1, none: 5 } };
  assert.deepEqual(drawn(mix, 1), drawn(mix, 1));
  assert.notDeepEqual(drawn(mix, 1), drawn(mix, 2));
  const share = (kind: string | undefined) => drawn(mix, 1).filter((one) => one === kind).length / 2000;
  for (const [kind, expected] of [
    ['503', 0.3],
    ['cut', 0.1],
    ['crlf', 0.1],
    [undefined, 0.5],
  ] as const) {
    assert.ok(Math.abs(share(kind) - expected) < 0.04, `${kind}: ${share(kind)}`);
  }
  const halved = drawn({ ...mix, of: { '503': 1 }, probability: 0.5 }, 1).filter((kind) => kind === '503').length;
  assert.ok(halved > 900 && halved < 1100, 'a probability applies before the pick');
});

test('a mix without weights picks every kind that ends by itself', () => {
  const ending = Object.entries(FAULT_KINDS).flatMap(([kind, { endless }]) => (endless === true ? [] : [kind]));
  const drawn = new Set(strokes(createFaultPlan([{ kind: 'mix' }], 1), 10_000));
  assert.deepEqual(drawn, new Set(ending));
  const half = strokes(createFaultPlan([{ kind: 'mix', of: { any: 1, none: 1 } }], 1), 2000).filter((kind) => kind === undefined).length;
  assert.ok(half > 900 && half < 1100);
});

test('a mix can be requested in a header, a model name or a list', () => {
  assert.deepEqual(parseFault('mix-503:1,none; ms=3'), { kind: 'mix', of: { '503': 1, none: 1 }, ms: 3 });
  const plan = createFaultPlan([], 1);
  assert.deepEqual(strokes(plan, 2, 'm', 'mix-503:1'), ['503', '503']);
  assert.deepEqual(strokes(plan, 2, 'fault-mix-cut-2:1'), ['cut', 'cut']);
  for (const text of [
    'mix-nope:1',
    'mix-503:x',
    'mix-503:0',
    'mix-503:-1',
    'crlf+nope',
    '503; shape=round',
    '503; reason=whim',
    '503; ms=',
  ]) {
    assert.equal(typeof parseFault(text), 'string', text);
  }
  assert.throws(() => createFaultPlan([{ kind: 'mix', of: { nope: 1 } }], 1), /unknown fault kind: nope/);
  assert.throws(() => createFaultPlan([{ kind: 'crlf', also: ['nope'] }], 1), /unknown fault kind: nope/);
  assert.throws(() => createFaultPlan([{ kind: '503', shape: 'round' as 'flat' }], 1), /unknown shape/);
});

test('every kind can be requested by name', () => {
  for (const kind of Object.keys(FAULT_KINDS)) assert.deepEqual(parseFault(kind), { kind });
});

test('the header takes precedence over the model, the model over the list', () => {
  const plan = createFaultPlan([{ kind: '500' }], 1);
  assert.deepEqual(strokes(plan, 1, 'fault-502', '503'), ['503']);
  assert.deepEqual(strokes(plan, 1, 'fault-502'), ['502']);
  assert.deepEqual(strokes(plan, 1), ['500']);
  assert.deepEqual(strokes(plan, 1, 'fault-none-such'), ['wrong']);
});

test('faults apply by call number, first calls, every Nth, window and model', () => {
  const by = (fault: Partial<StormFault>) => strokes(createFaultPlan([{ kind: '500', ...fault }], 1), 4).map((kind) => kind !== undefined);
  assert.deepEqual(by({ calls: [2, 4] }), [false, true, false, true]);
  assert.deepEqual(by({ calls: { first: 2 } }), [true, true, false, false]);
  assert.deepEqual(by({ calls: { every: 3 } }), [false, false, true, false]);
  assert.deepEqual(by({ from: 10, until: 30 }), [false, true, true, false]);
  assert.deepEqual(by({ models: ['other'] }), [false, false, false, false]);
});

test('calls are counted per fault, and from zero after a reset', () => {
  const plan = createFaultPlan([{ kind: '500', models: ['a'], calls: { first: 1 } }], 1);
  assert.deepEqual([strokes(plan, 1, 'b'), strokes(plan, 2, 'a')], [[undefined], ['500', undefined]]);
  plan.reset();
  assert.deepEqual(strokes(plan, 1, 'a'), ['500']);
  assert.deepEqual(strokes(plan, 3, 'fault-502;first=2'), ['502', '502', undefined]);
});

test('probability depends on the seed and meets its share', () => {
  const of = (seed: number) => strokes(createFaultPlan([{ kind: '500', probability: 0.3 }], seed), 2000);
  assert.deepEqual(of(1), of(1));
  assert.notDeepEqual(of(1), of(2));
  const share = of(1).filter((kind) => kind !== undefined).length / 2000;
  assert.ok(share > 0.26 && share < 0.34, String(share));
});
