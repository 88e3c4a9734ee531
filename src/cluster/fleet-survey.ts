/** What all instances do together, asked for when an operator looks: each reports its own figures by a message. */
import type { Clock } from '../core/clock.ts';

/** So long the reports of others are waited for, in milliseconds. */
const WAIT_MS = 200;
/** Figures are asked for at most so often, in milliseconds. */
const KEPT_MS = 1_000;
const TARGETS_MAX = 200;

/** Of one instance. */
export interface InstanceFigures {
  readonly waiting: number;
  readonly waitingByPriority: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly oldestMs: number;
  /** Attempts that run, by target. */
  readonly inFlightByTarget: Readonly<Record<string, number>>;
}

/** Of the fleet: sums, and the longest wait. */
export interface FleetFigures extends InstanceFigures {
  /** This instance among them; null: it is not known. */
  readonly instance: string | null;
  readonly instances: number;
  /** False: the store is away, and these are this instance's figures alone. */
  readonly isLinked: boolean;
  /** How many instances the figures are of. */
  readonly reported: number;
}

export interface FleetSurveyOptions {
  readonly clock: Clock;
  readonly publish: (text: string) => void;
  readonly status: () => { readonly member: string | null; readonly members: readonly string[]; readonly isLinked: boolean };
  readonly own: () => InstanceFigures;
}

export class FleetSurvey {
  readonly #options: FleetSurveyOptions;
  #round = 0;
  /** Of the present round, by instance. */
  #reports = new Map<string, InstanceFigures>(); // one for each member at most
  #asking: Promise<void> | null = null;
  #enough: (() => void) | null = null;
  #endedAt = -Infinity;

  constructor(options: FleetSurveyOptions) {
    this.#options = options;
  }

  /** Resolves within 200 ms. */
  async ask(): Promise<FleetFigures> {
    const { clock, status, own } = this.#options;
    const isFresh = clock.now() - this.#endedAt < KEPT_MS;
    if (status().isLinked && status().members.length > 1 && !isFresh) {
      await (this.#asking ??= this.#ask().finally(() => (this.#asking = null)));
    }
    const { member, members, isLinked } = status();
    const present = new Set(members);
    const all = [own()];
    for (const [from, figures] of this.#reports) if (isLinked && present.has(from)) all.push(figures);
    return { instance: member, instances: Math.max(1, members.length), isLinked, reported: all.length, ...sum(all) };
  }

  /** A message of another instance. */
  take([kind, ...lines]: readonly string[]): void {
    const { publish, status, own } = this.#options;
    const { member, members } = status();
    if (member === null) return;
    if (kind === 'ask') return publish(`survey\nreport\n${lines[0]}\n${lines[1]}\n${member}\n${JSON.stringify(limited(own()))}`);
    const [asker, round, from, text] = lines;
    if (asker !== member || Number(round) !== this.#round || from === undefined || !members.includes(from)) return;
    const figures = toFigures(text);
    if (figures === null) return;
    this.#reports.set(from, figures);
    if (this.#reports.size >= members.length - 1) this.#enough?.();
  }

  async #ask(): Promise<void> {
    const { clock, publish, status } = this.#options;
    this.#reports = new Map();
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(WAIT_MS, resolve);
      this.#enough = () => {
        timer.cancel();
        resolve();
      };
      publish(`survey\nask\n${status().member}\n${++this.#round}`);
    });
    this.#enough = null;
    this.#endedAt = clock.now();
  }
}

function limited(figures: InstanceFigures): InstanceFigures {
  const busiest = Object.entries(figures.inFlightByTarget).sort(([, a], [, b]) => b - a);
  return { ...figures, inFlightByTarget: Object.fromEntries(busiest.slice(0, TARGETS_MAX)) };
}

/** Null: not a report, or one of another version. */
function toFigures(text: string | undefined): InstanceFigures | null {
  try {
    const figures = JSON.parse(text ?? '') as InstanceFigures;
    const { waiting, inFlight, oldestMs, waitingByPriority, inFlightByTarget } = figures;
    const counts = [waiting, inFlight, oldestMs, ...Object.values(waitingByPriority), ...Object.values(inFlightByTarget)];
    return counts.every(Number.isFinite) ? figures : null;
  } catch {
    return null;
  }
}

function sum(all: readonly InstanceFigures[]): InstanceFigures {
  const total = { waiting: 0, inFlight: 0, oldestMs: 0, waitingByPriority: {}, inFlightByTarget: {} };
  for (const { waiting, inFlight, oldestMs, waitingByPriority, inFlightByTarget } of all) {
    total.waiting += waiting;
    total.inFlight += inFlight;
    total.oldestMs = Math.max(total.oldestMs, oldestMs);
    add(total.waitingByPriority, waitingByPriority);
    add(total.inFlightByTarget, inFlightByTarget);
  }
  return total;
}

function add(to: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) to[name] = (to[name] ?? 0) + count;
}
