/** What the finish reasons of providers mean. They are read by their words: providers add new ones all the time. */
import type { TokenUsage } from './facts.ts';

/** Longer texts are no finish reason, in characters. */
const LENGTH_MAX = 100;

/** A generation that ended with one of these words is not whole, whatever else the finish reason says. */
const FAILURE_WORDS: ReadonlySet<string> = new Set(
  `error errors errored err fail failed failure fault exception crash crashed panic oom abort aborted cancel cancelled canceled interrupt
  interrupted terminated killed preempted evicted disconnect disconnected timeout timedout network connection internal server unavailable
  overload overloaded busy capacity insufficient resource resources quota throttled throttling rate malformed`.split(/\s+/),
);

/** The answer ended at a limit of its length: of the output, or of the model's context. */
const LIMIT =
  /^(length|truncated|incomplete|model_length)$|(^|_)max(imum)?_|context_(length|window|size|limit)|(length|size|tokens?)_(limit|exceeded|reached)/;

/** The answer was withheld by a filter. */
const WITHHELD = /filter|^refus|^(safety|sensitive|blocklist|prohibited_content|recitation|spii|moderation|guardrail)|_safety$/;

/** The provider ended the generation because something broke. */
export function isFailedFinish(finish: unknown): finish is string {
  if (typeof finish !== 'string' || finish === '' || finish === 'stop' || finish.length > LENGTH_MAX) return false;
  const name = snakeCase(finish);
  return /(^|_)timed?_out(_|$)/.test(name) || name.split('_').some((word) => FAILURE_WORDS.has(word));
}

/** The answer ended at its length limit. */
export function isAtLimit(finish: string | null): boolean {
  return finish !== null && finish !== 'stop' && LIMIT.test(snakeCase(finish.slice(0, LENGTH_MAX))) && !isFailedFinish(finish);
}

/** A filter withheld the answer, or the model refused: it may be empty, and is complete all the same. */
export function isWithheld(finish: string | null): boolean {
  return finish !== null && finish !== 'stop' && WITHHELD.test(snakeCase(finish.slice(0, LENGTH_MAX)));
}

/**
 * True if an answer that ended so may hold nothing and is complete all the same: it was withheld, or its limit was spent on reasoning
 * that is not shown. At a limit without a single token nothing was generated.
 */
export function mayBeEmpty(finish: string | null, usage: TokenUsage | null): boolean {
  return isWithheld(finish) || (isAtLimit(finish) && (usage === null || usage.outputTokens > 0));
}

/** `MAX_TOKENS`, `maxTokens` and `max-tokens` are one name. */
function snakeCase(name: string): string {
  return name
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z\d]+/g, '_')
    .toLowerCase();
}
