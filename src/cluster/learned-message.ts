/** What instances send each other of what they have learned. */
import { isRecord } from '../core/json.ts';
import { isKindSilences, type KindSilences } from '../policy/latency/silence.ts';
import type { RateLimit } from '../policy/rate-limiter/shared-limit.ts';

/** Messages of other versions are ignored. */
const VERSION = 1;
/** Maximum length of one message, in characters; what is beyond it follows in the next. */
export const MESSAGE_MAX = 64 * 1024;
/** A longer message is not read: one entry may exceed the maximum. */
const READ_MAX = 4 * MESSAGE_MAX;

/** The silences of one target. */
export interface TargetSilences extends KindSilences {
  readonly target: string;
}

export interface LearnedMessage {
  readonly limits: readonly RateLimit[];
  readonly silences: readonly TargetSilences[];
  /** Not only what is new: silences are whole histories, which replace shorter ones. How much the sender has learned; null: no. */
  readonly whole: number | null;
  /** One of the other instances is to send all that it has learned. */
  readonly wantsReply: boolean;
}

export function toText(message: Partial<LearnedMessage>): string {
  return JSON.stringify({ version: VERSION, ...message });
}

/** Null: unreadable, or of another version. Invalid entries are left out. */
export function readLearned(body: string): LearnedMessage | null {
  if (body.length > READ_MAX) return null;
  try {
    const message: unknown = JSON.parse(body);
    if (!isRecord(message) || message['version'] !== VERSION) return null;
    const { limits = [], silences = [], whole = null, wantsReply } = message;
    if (!Array.isArray(limits) || !Array.isArray(silences) || !(whole === null || isAmount(whole))) return null;
    return { limits: limits.filter(isLimit), silences: silences.filter(isSilences), whole, wantsReply: wantsReply === true };
  } catch {
    return null;
  }
}

function isSilences(value: unknown): value is TargetSilences {
  return isRecord(value) && typeof value['target'] === 'string' && isKindSilences(value);
}

function isLimit(value: unknown): value is RateLimit {
  if (!isRecord(value) || typeof value['rate'] !== 'string') return false;
  const { family, counts, windowMs, limit, isGuess, remaining, startedAgoMs, agoMs } = value;
  if (!Number.isInteger(family) || !isAmount(family) || typeof isGuess !== 'boolean') return false;
  if (counts !== 'all' && counts !== 'input' && counts !== 'output') return false;
  if (!isAmount(windowMs) || windowMs === 0 || !isAmount(limit) || limit === 0) return false;
  return (remaining === null || Number.isFinite(remaining)) && isAmount(agoMs) && isAmount(startedAgoMs) && startedAgoMs >= agoMs;
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
