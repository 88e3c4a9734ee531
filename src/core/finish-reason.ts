/** The meaning of providers' finish reasons. They are matched by the words in them, since providers add new ones all the time. */
import type { TokenUsage } from './facts.ts';

/** Maximum length of a finish reason, in characters. */
const LENGTH_MAX = 100;

/** A finish reason with one of these words means a failed generation. */
const FAILURE_WORDS: ReadonlySet<string> = new Set(
  `error errors errored err fail failed failure fault exception crash crashed panic oom abort aborted cancel cancelled canceled interrupt
  interrupted terminated killed preempted evicted disconnect disconnected timeout timedout network connection internal server unavailable
  overload overloaded busy capacity insufficient resource resources quota throttled throttling rate malformed`.split(/\s+/),
);

/** The response ended at a length limit: of the output or of the context. */
const LIMIT =
  /^(length|truncated|incomplete|model_length)$|(^|_)max(imum)?_|context_(length|window|size|limit)|(length|size|tokens?)_(limit|exceeded|reached)/;

/** A filter withheld the response. */
const WITHHELD = /filter|^refus|^(safety|sensitive|blocklist|prohibited_content|recitation|spii|moderation|guardrail)|_safety$/;

/** True if the generation failed at the provider. */
export function isFailedFinish(finish: unknown): finish is string {
  if (typeof finish !== 'string' || finish === '' || finish === 'stop' || finish.length > LENGTH_MAX) return false;
  const name = snakeCase(finish);
  return /(^|_)timed?_out(_|$)/.test(name) || name.split('_').some((word) => FAILURE_WORDS.has(word));
}

/** True if the response ended at a length limit. */
export function isAtLimit(finish: string | null): boolean {
  return finish !== null && finish !== 'stop' && LIMIT.test(snakeCase(finish.slice(0, LENGTH_MAX))) && !isFailedFinish(finish);
}

/** True if a filter withheld the response or the model refused: such a response is complete even if it is empty. */
export function isWithheld(finish: string | null): boolean {
  return finish !== null && finish !== 'stop' && WITHHELD.test(snakeCase(finish.slice(0, LENGTH_MAX)));
}

/**
 * True if a response with this finish reason is complete even without content: it was withheld, or hidden reasoning used up its output
 * limit. At a limit without any output token nothing was generated.
 */
export function mayBeEmpty(finish: string | null, usage: TokenUsage | null): boolean {
  return isWithheld(finish) || (isAtLimit(finish) && (usage === null || usage.outputTokens > 0));
}

/** `MAX_TOKENS`, `maxTokens` and `max-tokens` are the same name. */
function snakeCase(name: string): string {
  return name
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z\d]+/g, '_')
    .toLowerCase();
}
