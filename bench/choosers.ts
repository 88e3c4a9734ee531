/** Alternative ways to choose within a tier, for comparison (bench/choosing.ts). Same parameters as `chooseByWeight`. */
import type { Instant } from '../src/core/clock.ts';
import type { Random } from '../src/core/random.ts';
import type { RouteTarget } from '../src/pipeline/route/route.ts';

type Chooser = (startable: readonly RouteTarget[], kind: number, now: Instant, random: Random) => RouteTarget;

/** Latency assumed for a target without data, in milliseconds. */
const UNKNOWN_MS = 1;

function drawn(from: readonly RouteTarget[], weightOf: (target: RouteTarget) => number, random: Random): RouteTarget {
  let left = random.next() * from.reduce((sum, target) => sum + weightOf(target), 0);
  for (const target of from) if ((left -= weightOf(target)) < 0) return target;
  return from.at(-1)!;
}

function twoOf(from: readonly RouteTarget[], weightOf: (target: RouteTarget) => number, random: Random): RouteTarget[] {
  const first = drawn(from, weightOf, random);
  return [
    first,
    drawn(
      from.filter((target) => target !== first),
      weightOf,
      random,
    ),
  ];
}

const loadOf = (target: RouteTarget, kind: number, now: Instant): number =>
  (target.expectedMs(kind, now) ?? UNKNOWN_MS) * (target.state.inFlight + 1);

const lesser = ([a, b]: RouteTarget[], costOf: (target: RouteTarget) => number): RouteTarget => (costOf(a!) <= costOf(b!) ? a! : b!);

export const CHOOSERS: Readonly<Record<string, Chooser>> = {
  /** Random, by weight. */
  random: (startable, _kind, _now, random) => drawn(startable, (target) => target.weight, random),
  /** As in Finagle and linkerd: of two random targets, the one with the lower average latency × calls in flight, by weight. */
  'p2c-peak-ewma': (startable, kind, now, random) =>
    lesser(
      twoOf(startable, () => 1, random),
      (target) => loadOf(target, kind, now) / target.weight,
    ),
  /** Of two targets picked by weight, the one with the lower average latency × calls in flight. */
  'p2c-by-weight': (startable, kind, now, random) =>
    lesser(
      twoOf(startable, (target) => target.weight, random),
      (target) => loadOf(target, kind, now),
    ),
  /** The same, with failures counted as the calls needed to compensate for them. */
  'p2c-expected-cost': (startable, kind, now, random) =>
    lesser(
      twoOf(startable, () => 1, random),
      (target) => loadOf(target, kind, now) / (target.weight * target.healthAt(now)),
    ),
  /** In turn by weight and health, regardless of latency: Breakwater's earlier method. */
  'turns-by-health': (startable, _kind, now) => {
    for (const target of startable) target.slowness = target.healthAt(now);
    return startable.reduce((best, target) =>
      Math.max(target.turn, target.time.now) < Math.max(best.turn, best.time.now) ? target : best,
    );
  },
};

export const chooseByWeight: Chooser = CHOOSERS[process.env['CHOOSER'] ?? ''] ?? (() => assertNever());

function assertNever(): never {
  throw new Error(`CHOOSER is one of ${Object.keys(CHOOSERS).join(', ')}`);
}
