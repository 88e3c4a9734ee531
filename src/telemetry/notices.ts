/** Changes of the gateway's state as sentences for the dashboard: the last hundred, numbered. */
import type { BreakerEvent, BreakwaterEvent, CooldownEvent, LifecycleEvent } from '../core/events.ts';
import { reasonText } from './cause-text.ts';
import type { Notice } from './feed-frames.ts';

/** Maximum number of stored notices. */
export const noticesMax = 100;
const textLengthMax = 300;
/** Cooldowns of one subject within this interval are one notice, in milliseconds. */
const repeatMs = 10_000;
/** Number of subjects with a recorded last cooldown. */
const subjectsMax = 200;

export class Notices {
  #kept: Notice[] = [];
  #count = 0;
  readonly #lastCooldown = new Map<string, number>();

  /** Number of notices since the start, including those no longer stored. */
  get count(): number {
    return this.#count;
  }

  record(event: BreakwaterEvent, epochMs: number): void {
    const notice = this.#noticeOf(event, epochMs);
    if (notice === null) return;
    this.#kept.push({ ...notice, text: notice.text.slice(0, textLengthMax) });
    this.#count++;
    if (this.#kept.length > noticesMax) this.#kept.shift();
  }

  /** The notices from this number on, as far as they are stored. */
  since(number: number): readonly Notice[] {
    const missing = this.#count - number;
    return missing <= 0 ? [] : this.#kept.slice(-missing);
  }

  #noticeOf(event: BreakwaterEvent, at: number): Notice | null {
    switch (event.type) {
      case 'breaker':
        return { at, subject: event.target, ...breakerNotice(event) };
      case 'cooldown':
        return this.#isRepeated(event, at) ? null : { at, subject: event.subject, ...cooldownNotice(event) };
      case 'warning':
        return { at, subject: null, tone: 'warn', text: event.message };
      case 'lifecycle':
        return { at, subject: null, ...lifecycleNotice(event) };
      default:
        return null;
    }
  }

  #isRepeated({ subject, kind }: CooldownEvent, at: number): boolean {
    const key = `${kind} ${subject}`;
    const before = this.#lastCooldown.get(key);
    if (before === undefined && this.#lastCooldown.size >= subjectsMax) this.#lastCooldown.clear();
    this.#lastCooldown.set(key, at);
    return before !== undefined && at - before < repeatMs;
  }
}

type Words = Pick<Notice, 'tone' | 'text'>;

function breakerNotice({ target, to, openForMs }: BreakerEvent): Words {
  switch (to) {
    case 'open':
      return { tone: 'bad', text: `${target}: circuit breaker opened${openForMs === null ? '' : ` for ${seconds(openForMs)}`}` };
    case 'half-open':
      return { tone: 'info', text: `${target}: circuit breaker half-open, a probe decides` };
    case 'closed':
      return { tone: 'good', text: `${target}: circuit breaker closed` };
    case 'isolated':
      return { tone: 'warn', text: `${target}: isolated by an operator` };
  }
}

function cooldownNotice({ subject, kind, forMs, reason, why }: CooldownEvent): Words {
  if (kind === 'cooldown') return { tone: 'warn', text: `${subject}: cooldown for ${seconds(forMs)} (${reasonText(reason)})` };
  return { tone: 'bad', text: `${subject}: credential quarantined for ${seconds(forMs)} (${why ?? reasonText(reason)})` };
}

function lifecycleNotice({ state, detail }: LifecycleEvent): Words {
  switch (state) {
    case 'started':
      return { tone: 'info', text: `gateway started${detail === undefined ? '' : ` on ${detail}`}` };
    case 'reloaded':
      return { tone: 'good', text: `${detail ?? 'configuration'} reloaded` };
    case 'reload_failed':
      return { tone: 'bad', text: `configuration not reloaded: ${detail ?? 'it is invalid'}` };
    case 'store_recovered':
      return { tone: 'good', text: 'the store works again' };
    case 'fleet_changed':
      return { tone: 'info', text: detail ?? 'the fleet has changed' };
    case 'fleet_lost':
      return { tone: 'bad', text: detail ?? 'the shared store does not respond' };
    case 'draining':
      return { tone: 'warn', text: 'gateway is shutting down: running requests finish, new ones are refused' };
    case 'stopped':
      return { tone: 'warn', text: 'gateway stopped' };
  }
}

function seconds(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${Math.round(ms / 100) / 10} s`;
  return ms < 120_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`;
}
