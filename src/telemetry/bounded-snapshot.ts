/** The snapshot as the gauges show it: names masked, and of those that only callers have chosen a bounded number. */
import type { Redact } from './redact.ts';
import type { LabelValues } from './series.ts';
import type { ResourceLevel, Snapshot } from './snapshot.ts';

interface Labels {
  readonly targets: LabelValues;
  /** Targets and credentials. */
  readonly subjects: LabelValues;
}

/**
 * Names that are no label values of their own are left out, as gauges of several targets have no sum. Masked names may coincide, and two
 * samples of one series are an error: each appears once.
 */
export function boundedSnapshot(snapshot: Snapshot, cleanName: Redact, labels: Labels): Snapshot {
  function targets<T extends { readonly target: string }>(list: readonly T[]): T[] {
    const byName = new Map(list.map((item) => [cleanName(item.target), item]));
    return Array.from(byName, ([target, item]) => ({ ...item, target })).filter(({ target }) => labels.targets.admitsAlone(target));
  }

  function level(one: ResourceLevel): ResourceLevel | null {
    if (one.subject === undefined) return one;
    const subject = cleanName(one.subject);
    return labels.subjects.admitsAlone(subject) ? { ...one, subject, id: subject + one.id.slice(one.subject.length) } : null;
  }

  const levels = snapshot.resources.map(level).filter((one) => one !== null);
  return {
    ...snapshot,
    resources: [...new Map(levels.map((one) => [one.id, one])).values()],
    estimates: targets(snapshot.estimates),
    breakers: targets(snapshot.breakers),
  };
}
