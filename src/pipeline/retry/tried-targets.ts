import type { Instant } from '../../core/clock.ts';
import type { Repair } from '../../policy/repair/repair.ts';
import type { StripLevel } from '../opaque/pieces.ts';
import type { RouteTarget } from '../route/route.ts';

/** A retry with changed edits, whose outcome shows whether they caused an error. */
export interface RepairTrial {
  /** Repairs made for it. */
  readonly repairs: readonly Repair[];
  /** Learned repairs that are not made for it. */
  readonly suppressed: readonly Repair[];
  /** Of the error to be repaired. */
  readonly signature: string;
  /** The error named the change, which is learned already. */
  readonly isNamed: boolean;
  /** The number of the last attempt before it: attempts up to this one lack the change. */
  readonly after: number;
}

interface Tried {
  readonly target: RouteTarget;
  wasTried: boolean;
  isBudgetWaived: boolean;
  isExcluded: boolean;
  notBefore: Instant;
  repairs: readonly Repair[];
  /** Keys of learned repairs that are not made for this request. */
  suppressed: readonly string[];
  trial: RepairTrial | null;
  strip: StripLevel;
  /** Signature of an error that may be about opaque pieces without saying so; null: the error was about them. */
  stripGuess: string | null;
}

const NO_REPAIRS: readonly Repair[] = [];
const NO_KEYS: readonly string[] = [];

const UNTRIED = {
  wasTried: false,
  isBudgetWaived: false,
  isExcluded: false,
  notBefore: -Infinity,
  repairs: NO_REPAIRS,
  suppressed: NO_KEYS,
  trial: null,
  strip: 'foreign' as const,
  stripGuess: null,
};

/** The state of the targets that one request has tried. A short list: most requests try one. */
export class TriedTargets {
  readonly #list: Tried[] = [];

  /** An attempt was sent to it. */
  wasTried(target: RouteTarget): boolean {
    return this.#find(target)?.wasTried ?? false;
  }

  /** The next attempt is free of the retry budget: the last one did not reach the target, or the provider named a wait. */
  isBudgetWaived(target: RouteTarget): boolean {
    return this.#find(target)?.isBudgetWaived ?? false;
  }

  /** It can't serve this request, now or later. */
  isExcluded(target: RouteTarget): boolean {
    return this.#find(target)?.isExcluded ?? false;
  }

  /** When it may be retried; -Infinity: any time. */
  notBefore(target: RouteTarget): Instant {
    return this.#find(target)?.notBefore ?? -Infinity;
  }

  /** Repairs of this request, because the target refused it without them. */
  repairs(target: RouteTarget): readonly Repair[] {
    return this.#find(target)?.repairs ?? NO_REPAIRS;
  }

  /** Keys of learned repairs suppressed for this request, because the target refused it with them. */
  suppressed(target: RouteTarget): readonly string[] {
    return this.#find(target)?.suppressed ?? NO_KEYS;
  }

  /** Which opaque pieces are removed for it. */
  stripLevel(target: RouteTarget): StripLevel {
    return this.#find(target)?.strip ?? 'foreign';
  }

  stripGuess(target: RouteTarget): string | null {
    return this.#find(target)?.stripGuess ?? null;
  }

  /** `guess`: signature of an error that does not name these pieces; null: it does. */
  strip(target: RouteTarget, level: StripLevel, guess: string | null): void {
    const tried = this.#of(target);
    tried.strip = level;
    tried.stripGuess = guess;
  }

  markTried(target: RouteTarget): void {
    const tried = this.#of(target);
    tried.wasTried = true;
    tried.isBudgetWaived = false;
  }

  waiveBudget(target: RouteTarget): void {
    this.#of(target).isBudgetWaived = true;
  }

  exclude(target: RouteTarget): void {
    this.#of(target).isExcluded = true;
  }

  pause(target: RouteTarget, until: Instant): void {
    this.#of(target).notBefore = until;
  }

  repair(target: RouteTarget, trial: RepairTrial): void {
    const tried = this.#of(target);
    const isNew = ({ key }: Repair): boolean => !tried.repairs.some((repair) => repair.key === key);
    tried.repairs = [...tried.repairs, ...trial.repairs.filter(isNew)];
    tried.suppressed = [...tried.suppressed, ...trial.suppressed.map(({ key }) => key)];
    tried.trial = trial;
  }

  /** True if the repair to be tried next is a guess, as the error named nothing. */
  isGuess(target: RouteTarget): boolean {
    return this.#find(target)?.trial?.isNamed === false;
  }

  /** The trial that ends with this attempt; null: none, or the attempt was sent before it. */
  endTrial(target: RouteTarget, attempt: number): RepairTrial | null {
    const tried = this.#find(target);
    const trial = tried?.trial ?? null;
    if (trial === null || attempt <= trial.after) return null;
    tried!.trial = null;
    return trial;
  }

  #find(target: RouteTarget): Tried | undefined {
    for (const tried of this.#list) if (tried.target === target) return tried;
    return undefined;
  }

  #of(target: RouteTarget): Tried {
    let tried = this.#find(target);
    if (tried === undefined) this.#list.push((tried = { ...UNTRIED, target }));
    return tried;
  }
}
