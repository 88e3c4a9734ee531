import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { TraceSource } from './request-trace.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';

const sourceOf = (sample = 1, maxPerSecond = Infinity, clock = createManualClock()): TraceSource =>
  new TraceSource({ random: createSeededRandom(1), clock, sample: () => sample, maxPerSecond: () => maxPerSecond });

describe('a trace context', () => {
  const continued: readonly string[] = [
    `00-${TRACE_ID}-${SPAN_ID}-01`,
    ` 00-${TRACE_ID}-${SPAN_ID}-01 `,
    `00-${TRACE_ID}-${SPAN_ID}-ff`,
    `42-${TRACE_ID}-${SPAN_ID}-01-more`,
  ];
  for (const header of continued) {
    it(`continues ${header}`, () => {
      const trace = sourceOf(0).begin(header, null);
      assert.deepEqual([trace.traceId, trace.parentId, trace.isSampled, trace.isRemote], [TRACE_ID, SPAN_ID, true, true]);
    });
  }

  const invalid: readonly (string | null)[] = [
    null,
    '',
    `ff-${TRACE_ID}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${SPAN_ID}-01-more`,
    `00-${'0'.repeat(32)}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${'0'.repeat(16)}-01`,
    `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${SPAN_ID}`,
    `00-${TRACE_ID}-${SPAN_ID}-01, 00-${TRACE_ID}-${SPAN_ID}-01`,
  ];
  for (const header of invalid) {
    it(`begins a new trace for ${header}, without its tracestate`, () => {
      const trace = sourceOf().begin(header, 'a=1');
      assert.match(trace.traceId, /^[0-9a-f]{32}$/);
      assert.notEqual(trace.traceId, TRACE_ID);
      assert.deepEqual([trace.parentId, trace.isSampled, trace.isRemote], [null, true, false]);
      const headers: string[] = [];
      trace.pushHeaders(headers, SPAN_ID);
      assert.deepEqual(headers, ['traceparent', `00-${trace.traceId}-${SPAN_ID}-03`]);
    });
  }

  it("keeps the caller's decision not to sample, and its state", () => {
    const trace = sourceOf().begin(`00-${TRACE_ID}-${SPAN_ID}-00`, 'vendor=1');
    const headers: string[] = [];
    trace.pushHeaders(headers, trace.nextSpanId());
    assert.equal(trace.isSampled, false);
    assert.match(headers[1]!, new RegExp(`^00-${TRACE_ID}-(?!${SPAN_ID})[0-9a-f]{16}-00$`));
    assert.deepEqual(headers.slice(2), ['tracestate', 'vendor=1']);
  });

  it('samples the given share of new traces', () => {
    const source = sourceOf(0.25);
    const sampled = Array.from({ length: 4_000 }, () => source.begin(null, null)).filter(({ isSampled }) => isSampled).length;
    assert.ok(sampled > 900 && sampled < 1_100, String(sampled));
  });

  it('is sampled for a limited number of requests per second; callers that set the flag are always sampled', () => {
    const clock = createManualClock();
    const source = sourceOf(1, 3, clock);
    const begin = (count: number): number =>
      Array.from({ length: count }, () => source.begin(null, null)).filter(({ isSampled }) => isSampled).length;
    assert.equal(begin(10), 3);
    assert.equal(source.begin(`00-${TRACE_ID}-${SPAN_ID}-01`, null).isSampled, true);
    clock.advance(999);
    assert.equal(begin(1), 0);
    clock.advance(1);
    assert.equal(begin(10), 3);
  });

  it('has ids that are never all zeros', () => {
    const trace = new TraceSource({ random: { next: () => 0 }, clock: createManualClock(), sample: () => 1, maxPerSecond: () => 1 }).begin(
      null,
      null,
    );
    assert.deepEqual([trace.traceId, trace.spanId], [`${'0'.repeat(31)}1`, `${'0'.repeat(15)}1`]);
  });

  it('of a request that another one causes is a child in the same process', () => {
    const parent = sourceOf().begin(`00-${TRACE_ID}-${SPAN_ID}-01`, null);
    const child = parent.child();
    assert.deepEqual([child.traceId, child.parentId, child.isRemote], [TRACE_ID, parent.spanId, false]);
    assert.notEqual(child.spanId, parent.spanId);
  });
});
