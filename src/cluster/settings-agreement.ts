/**
 * Whether the instances of a fleet have the same settings. Each publishes a digest of its own when it joins, and when its config changes; an
 * instance with another digest replies with its own. A difference is reported once it has lasted for 30 s, because settings differ for some
 * seconds during a rolling reload. The settings themselves are requested shortly before that.
 */
import { hash } from 'node:crypto';
import type { Clock, Instant, Timer } from '../core/clock.ts';

/** After the last change of any settings, in milliseconds. */
const LASTING_MS = 30_000;
/** The settings of other instances are requested this long before the report, in milliseconds. */
const ASK_BEFORE_MS = 5_000;
/** A message with settings reaches all instances, so it is not repeated within this time, in milliseconds. */
const SENT_AGAIN_MS = 1_000;
/** Settings that an instance sends; the digest is of all of them. */
const SENT_MAX = 500;
const NAME_LENGTH_MAX = 1_000;
const TEXT_LENGTH_MAX = 200;
/** Instances remembered, differences and instances named. */
const KNOWN_MAX = 1_000;
/** Of these, some that are not members. */
const ABSENT_MAX = 10;
const DIFFERENCES_MAX = 5;
const NAMED_MAX = 3;

/**
 * Values by name: `client web requestsPerMinute`, `600`. `client web` is the whole, and names that begin with it and a space are its parts. The
 * values of names that end with `key` are digests, and are not shown.
 */
export type Settings = Readonly<Record<string, string>>;

export interface SettingsAgreementOptions {
  readonly clock: Clock;
  readonly publish: (text: string) => void;
  readonly status: () => { readonly member: string | null; readonly members: readonly string[] };
  /** As operators know this instance. */
  readonly name: string;
  readonly own: () => Settings;
  /** Called once for each state of the fleet in which settings differ. */
  readonly onDiffer: (text: string) => void;
  /** They agree again, after `onDiffer`. */
  readonly onAgree: () => void;
}

interface OtherInstance {
  readonly member: string;
  readonly name: string;
  readonly digest: string;
  /** Null: not received. */
  settings: Settings | null;
}

export class SettingsAgreement {
  readonly #options: SettingsAgreementOptions;
  readonly #others = new Map<string, OtherInstance>(); // at most KNOWN_MAX
  #own: Settings = {};
  #digest = '';
  #timer: Timer | null = null;
  #isStopped = false;
  /** The state that was reported last; empty: all agree. */
  #reported = '';
  /** The digest of the settings that were sent last, and when. */
  #sent: { readonly digest: string; readonly at: Instant } | null = null;

  constructor(options: SettingsAgreementOptions) {
    this.#options = options;
  }

  /** Null: all agree, or differ for less than 30 s. */
  get differences(): string | null {
    return this.#reported === '' ? null : this.#describe();
  }

  /** The members of the fleet or its own config have changed; `isNew`: this instance is in the fleet from now on, or again. */
  update(isNew = false): void {
    const { status, own } = this.#options;
    const { member, members } = status();
    if (member === null) return;
    const before = this.#digest;
    this.#own = own();
    this.#digest = digestOf(this.#own);
    // A digest may arrive before the list that has its member.
    const present = new Set(members);
    for (const other of this.#others.keys()) {
      if (this.#others.size <= members.length + ABSENT_MAX) break;
      if (!present.has(other)) this.#others.delete(other);
    }
    if (members.length > 1 && (isNew || this.#digest !== before)) this.#announce();
    this.#look(this.#digest !== before);
  }

  /** A message of another instance. */
  take([kind, from = '', digest = '', text = '']: readonly string[]): void {
    if (kind === 'ask' && from === this.#options.status().member) {
      this.#send();
    } else if (kind === 'is') {
      this.#note(from, digest, text);
    } else if (kind === 'has') {
      const other = this.#others.get(from);
      if (other?.digest === digest) other.settings = toSettings(text);
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #note(from: string, digest: string, name: string): void {
    const known = this.#others.get(from);
    if (known === undefined && this.#others.size >= KNOWN_MAX) return;
    if (known?.digest !== digest) this.#others.set(from, { member: from, name: name.slice(0, TEXT_LENGTH_MAX), digest, settings: null });
    if (this.#digest === '') return;
    if (digest !== this.#digest && known?.digest !== digest) this.#announce();
    this.#look(known?.digest !== digest);
  }

  #send(): void {
    const { clock, publish, status } = this.#options;
    const now = clock.now();
    if (this.#sent?.digest === this.#digest && now - this.#sent.at < SENT_AGAIN_MS) return;
    this.#sent = { digest: this.#digest, at: now };
    publish(`settings\nhas\n${status().member}\n${this.#digest}\n${JSON.stringify(limited(this.#own))}`);
  }

  #announce(): void {
    const { publish, status, name } = this.#options;
    publish(`settings\nis\n${status().member}\n${this.#digest}\n${name}`);
  }

  #look(hasChanged: boolean): void {
    const differs = this.#differing().length > 0;
    if (this.#isStopped) return;
    if (hasChanged || !differs) this.#cancelTimer();
    if (!differs) {
      if (this.#reported !== '') this.#options.onAgree();
      this.#reported = '';
    } else {
      this.#timer ??= this.#options.clock.schedule(LASTING_MS - ASK_BEFORE_MS, () => this.#ask());
    }
  }

  /** One of them is described; the others are asked too, in case it leaves. */
  #ask(): void {
    const { clock, publish } = this.#options;
    this.#timer = clock.schedule(ASK_BEFORE_MS, () => this.#report());
    for (const { member, settings } of this.#differing().slice(0, NAMED_MAX)) {
      if (settings === null) publish(`settings\nask\n${member}`);
    }
  }

  #report(): void {
    const state = [this.#digest, ...new Set(this.#differing().map(({ digest }) => digest))].toSorted().join(' ');
    if (state === this.#reported) return;
    this.#reported = state;
    this.#options.onDiffer(this.#describe());
  }

  #differing(): OtherInstance[] {
    const { members } = this.#options.status();
    return members
      .map((member) => this.#others.get(member))
      .filter((other) => other !== undefined && other.digest !== this.#digest) as OtherInstance[];
  }

  #describe(): string {
    const others = this.#differing();
    const names = some(others.map(({ name }) => name).toSorted(), NAMED_MAX);
    const found = others.find(({ settings }) => settings !== null);
    const differences = found === undefined ? [] : differencesOf(this.#own, found.settings!, found.name);
    const listed = differences.length === 0 ? '' : `: ${some(differences, DIFFERENCES_MAX)}`;
    return `the settings of this instance (${this.#options.name}) differ from those of ${names}${listed}`;
  }
}

/** The parts of a whole that one of the instances lacks are one difference. Settings beyond the last one that was sent are not compared. */
function differencesOf(own: Settings, other: Settings, where: string): string[] {
  const sent = Object.keys(other).toSorted();
  const last = sent.length < SENT_MAX ? null : sent.at(-1)!;
  const isKnown = (name: string): boolean => last === null || name <= last;
  const names = [...new Set([...Object.keys(own), ...sent])].filter((name) => isKnown(name) && own[name] !== other[name]).toSorted();
  const whole = names.filter((name) => own[name] === undefined || other[name] === undefined);
  const isPart = (name: string): boolean => whole.some((each) => name.startsWith(`${each} `));
  const describe = (name: string): string => {
    if (name.endsWith(' key')) return `${name} differs from that at ${where}`;
    return `${name} is ${own[name] ?? 'absent'} here, ${other[name] ?? 'absent'} at ${where}`;
  };
  return names.filter((name) => !isPart(name)).map(describe);
}

function some(texts: readonly string[], max: number): string {
  const more = texts.length > max ? ` and ${texts.length - max} more` : '';
  return `${texts.slice(0, max).join('; ')}${more}`;
}

function digestOf(settings: Settings): string {
  return hash(
    'sha256',
    JSON.stringify(
      Object.keys(settings)
        .toSorted()
        .map((name) => [name, settings[name]]),
    ),
    'base64url',
  ).slice(0, 22);
}

/** The first ones by name. */
function limited(settings: Settings): Settings {
  const names = Object.keys(settings).toSorted().slice(0, SENT_MAX);
  return Object.fromEntries(names.map((name) => [name, settings[name]!]));
}

/** Throws for a text that is not JSON. */
function toSettings(text: string): Settings {
  const read = JSON.parse(text) as Record<string, unknown>;
  const entries = Object.entries(read).slice(0, SENT_MAX);
  return Object.fromEntries(entries.map(([name, value]) => [name.slice(0, NAME_LENGTH_MAX), String(value).slice(0, TEXT_LENGTH_MAX)]));
}
