/**
 * Counters and histograms for the hot path: a lookup by label values and an addition. prom-client hashes and
 * checks the labels at every observation, about half a microsecond each; here it only formats the exposition.
 */

/** Maximum number of distinct values of one label; further ones count as `other`. */
export const labelValuesMax = 200;
/** Maximum number of series of one family; further combinations count as `other` in every label. */
export const seriesMax = 5_000;
export const otherValue = 'other';

/** Bounds the number of label values from outside the program. */
export class LabelValues {
  readonly #known = new Set<string>();
  readonly #isExpected: (value: string) => boolean;
  readonly #unexpectedMax: number;
  #unexpected = 0;

  /** Values that `isExpected` rejects become `other`, except for the first `unexpectedMax` of them, which do not count against the limit of expected ones. */
  constructor(isExpected: (value: string) => boolean = () => true, unexpectedMax = 0) {
    this.#isExpected = isExpected;
    this.#unexpectedMax = unexpectedMax;
  }

  admit(value: string): string {
    if (this.#known.has(value)) return value;
    if (this.#isExpected(value)) {
      if (this.#known.size - this.#unexpected >= labelValuesMax) return otherValue;
    } else {
      if (this.#unexpected >= this.#unexpectedMax) return otherValue;
      this.#unexpected++;
    }
    this.#known.add(value);
    return value;
  }

  /** For series that have no sum: true for all expected values, whose number the caller bounds, and for the others that are admitted. */
  admitsAlone(value: string): boolean {
    return this.#isExpected(value) || this.admit(value) === value;
  }
}

export interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

interface Branch<Cell> {
  readonly children: Map<string, Branch<Cell>>;
  cell: Cell | null;
}

/** One metric with its labels: a tree of label values with a cell at each leaf. */
class Family<Cell> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly #root: Branch<Cell> = { children: new Map(), cell: null };
  readonly #createCell: () => Cell;
  #size = 0;

  constructor(name: string, help: string, labelNames: readonly string[], createCell: () => Cell) {
    this.name = name;
    this.help = help;
    this.labelNames = labelNames;
    this.#createCell = createCell;
  }

  protected cell(values: readonly string[]): Cell {
    let branch = this.#root;
    for (let i = 0; i < values.length; i++) {
      const next = branch.children.get(values[i]!);
      if (next === undefined) return this.#grow(values);
      branch = next;
    }
    return (branch.cell ??= this.#createCell());
  }

  #grow(values: readonly string[]): Cell {
    const isFull = this.#size >= seriesMax;
    if (!isFull) this.#size++;
    let branch = this.#root;
    for (const value of values) {
      const key = isFull ? otherValue : value;
      let next = branch.children.get(key);
      if (next === undefined) branch.children.set(key, (next = { children: new Map(), cell: null }));
      branch = next;
    }
    return (branch.cell ??= this.#createCell());
  }

  /** Every cell with its labels. */
  protected *cells(branch = this.#root, values: readonly string[] = []): Generator<[Record<string, string>, Cell]> {
    if (branch.cell !== null) yield [Object.fromEntries(this.labelNames.map((name, i) => [name, values[i]!])), branch.cell];
    for (const [value, child] of branch.children) yield* this.cells(child, [...values, value]);
  }
}

export class CounterFamily extends Family<{ value: number }> {
  readonly type = 'counter';

  constructor(name: string, help: string, labelNames: readonly string[]) {
    super(name, help, labelNames, () => ({ value: 0 }));
  }

  /** Adds `amount` to the series of these label values, in the order of the names. */
  add(amount: number, ...values: string[]): void {
    if (amount >= 0 && amount < Infinity) this.cell(values).value += amount;
  }

  samples(): Sample[] {
    return Array.from(this.cells(), ([labels, cell]) => ({ labels, value: cell.value }));
  }
}

interface Distribution {
  readonly counts: Float64Array;
  sum: number;
  count: number;
}

export class HistogramFamily extends Family<Distribution> {
  readonly type = 'histogram';
  readonly #bounds: readonly number[];

  /** `bounds`: upper bounds of the buckets, ascending, without infinity. */
  constructor(name: string, help: string, labelNames: readonly string[], bounds: readonly number[]) {
    super(name, help, labelNames, () => ({ counts: new Float64Array(bounds.length), sum: 0, count: 0 }));
    this.#bounds = bounds;
  }

  /** Counts `value` in the series of these label values. Invalid values are ignored. */
  observe(value: number, ...values: string[]): void {
    if (!(value >= 0 && value < Infinity)) return;
    const cell = this.cell(values);
    cell.sum += value;
    cell.count++;
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value > this.#bounds[i]!) continue;
      cell.counts[i]!++;
      return;
    }
  }

  samples(): Sample[] {
    return Array.from(this.cells()).flatMap(([labels, cell]) => this.#samplesOf(labels, cell));
  }

  #samplesOf(labels: Record<string, string>, cell: Distribution): Sample[] {
    let cumulative = 0;
    const buckets = this.#bounds.map((bound, i) => {
      cumulative += cell.counts[i]!;
      return { metricName: `${this.name}_bucket`, labels: { ...labels, le: bound }, value: cumulative };
    });
    return [
      ...buckets,
      { metricName: `${this.name}_bucket`, labels: { ...labels, le: '+Inf' }, value: cell.count },
      { metricName: `${this.name}_sum`, labels, value: cell.sum },
      { metricName: `${this.name}_count`, labels, value: cell.count },
    ];
  }
}

/** A family whose samples are read at the scrape. */
export interface ScrapedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  samples(): Sample[];
}

export function scraped(type: ScrapedFamily['type'], name: string, help: string, samples: () => Sample[] | number): ScrapedFamily {
  return {
    name,
    help,
    type,
    samples() {
      const found = samples();
      return typeof found === 'number' ? [{ labels: {}, value: found }] : found;
    },
  };
}
