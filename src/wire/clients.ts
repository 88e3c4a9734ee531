/**
 * Client programs, recognized by their `User-Agent`, and what makes each of them retry or stop (docs/agents.md).
 *
 * An error means one of two things to a caller: retry after n seconds, or do not retry. How to express that differs by program. The
 * official SDKs and Claude Code honour `x-should-retry`; other programs check the status alone, and a 5xx after all targets have failed
 * would cost several more rounds of calls. So the status may be replaced by a similar one that the program handles as intended. An
 * unknown program gets the original status.
 */
export const CLIENT_PROGRAMS = [
  'claude-code', 'codex', 'opencode', 'gemini-cli', 'cline', 'ai-sdk', 'openai-sdk', 'anthropic-sdk', 'litellm',
] as const; // prettier-ignore
export type ClientProgram = (typeof CLIENT_PROGRAMS)[number];

interface HasHeaders {
  header(name: string): string | undefined;
}

/** Whether and when the caller should retry. */
export interface RetryAdvice {
  /** The same request may succeed after the wait. */
  readonly isRetryable: boolean;
  /** In milliseconds; null: unknown. */
  readonly waitMs: number | null;
}

export const DO_NOT_RETRY: RetryAdvice = { isRetryable: false, waitMs: null };

export interface RetrySignals {
  readonly status: number;
  /** Alternating names and values. */
  readonly headers: string[];
}

/** In characters; the rest of a `User-Agent` names libraries, not the program. */
const PRODUCT_LENGTH_MAX = 40;

/** By the first product of `User-Agent`, in lower case and without its version. */
const PRODUCTS: Readonly<Record<string, ClientProgram>> = {
  'claude-cli': 'claude-code',
  'claude-code': 'claude-code',
  codex_exec: 'codex',
  codex_cli_rs: 'codex',
  opencode: 'opencode',
  geminicli: 'gemini-cli',
  cline: 'cline',
  ai: 'ai-sdk',
  'ai-sdk': 'ai-sdk',
  openai: 'openai-sdk',
  asyncopenai: 'openai-sdk',
  azureopenai: 'openai-sdk',
  asyncazureopenai: 'openai-sdk',
  anthropic: 'anthropic-sdk',
  asyncanthropic: 'anthropic-sdk',
  litellm: 'litellm',
};

/** The program that sent the request; null: unknown. Costs one header look-up. */
export function programOf(request: HasHeaders): ClientProgram | null {
  const agent = request.header('user-agent');
  if (agent === undefined) return null;
  const end = agent.slice(0, PRODUCT_LENGTH_MAX).search(/[/ (]/);
  const product = agent.slice(0, end < 0 ? PRODUCT_LENGTH_MAX : end).toLowerCase();
  if (Object.hasOwn(PRODUCTS, product)) return PRODUCTS[product]!;
  const family = FAMILY.exec(product)?.[1];
  return family === undefined ? null : family === 'geminicli' ? 'gemini-cli' : (family as ClientProgram);
}

/** Agents that consist of several products: the desktop application, the editor extension and the SDK of Codex, `GeminiCLI-tui`. */
const FAMILY = /^(codex|geminicli|opencode|cline)(?:[_-]|$)/;

interface RetryHabits {
  /** The status on which the program honours `retry-after`; null: it does so on any status that it retries. */
  readonly retryStatus: number | null;
  /** For a final status, the nearest one that the program does not retry. `isWaitKnown`: the response has a `retry-after`. */
  readonly stopStatus: (status: number, isWaitKnown: boolean) => number;
  /** It honours `retry-after` on every status that it retries, so a final error must not have one. */
  readonly obeysEveryWait: boolean;
}

/** Failed Dependency (RFC 4918, 11.4): a failed upstream as a 4xx. */
const FAILED_DEPENDENCY = 424;

/** How each program handles an error; measured, or read in its source. Programs that are not listed honour `x-should-retry`. */
const HABITS: Readonly<Partial<Record<ClientProgram, RetryHabits>>> = {
  // One call for 400 and for 429 without retry-after, six for any other 4xx, thirty for a 5xx (0.171).
  codex: { retryStatus: 429, stopStatus: stopCodex, obeysEveryWait: true },
  // Retries 408, 409, 429 and 5xx: without a limit, after any retry-after (1.18); twice, after one of a minute at most (ai 7).
  opencode: { retryStatus: null, stopStatus: stopByStatus, obeysEveryWait: false },
  'ai-sdk': { retryStatus: null, stopStatus: stopByStatus, obeysEveryWait: false },
  // Retries 429 and 5xx, ten times in all (0.61).
  'gemini-cli': { retryStatus: null, stopStatus: stopByStatus, obeysEveryWait: false },
  // Retries 429 only; the SDKs that it is built on honour x-should-retry (3).
  cline: { retryStatus: 429, stopStatus: (status) => (status === 429 ? 503 : status), obeysEveryWait: true },
};

/** 401 and 403 are authentication errors; every other 4xx is an invalid request. */
function stopCodex(status: number): number {
  if (status >= 500 || status === 429 || status === 408 || status === 424 || status === 425) return 429;
  return status === 401 || status === 403 ? status : 400;
}

/** A rate limit with a known wait is honoured, so its status stays. */
function stopByStatus(status: number, isWaitKnown: boolean): number {
  if (status === 409) return 400;
  const isRepeated = status >= 500 || status === 408 || status === 425 || (status === 429 && !isWaitKnown);
  return isRepeated ? FAILED_DEPENDENCY : status;
}

/** In milliseconds. Some clients wait longer literally; others ignore a longer wait and retry at once. */
const WAIT_MAX_MS = 60_000;

/** The status and headers that make `program` retry or stop: `x-should-retry`, `retry-after` in whole seconds, rounded up, and `retry-after-ms`. */
export function retrySignals(program: ClientProgram | null, status: number, { isRetryable, waitMs }: RetryAdvice): RetrySignals {
  const isKnown = waitMs !== null && Number.isFinite(waitMs);
  const ms = isKnown ? Math.max(0, Math.ceil(waitMs)) : 0;
  const shouldRetry = isKnown && isRetryable && ms <= WAIT_MAX_MS;
  const habits = program === null ? undefined : HABITS[program];
  const headers = ['x-should-retry', String(shouldRetry)];
  if (isKnown && (shouldRetry || habits?.obeysEveryWait !== true)) {
    headers.push('retry-after', String(Math.ceil(ms / 1000)), 'retry-after-ms', String(ms));
  }
  if (habits === undefined || status < 400) return { status, headers };
  return { status: shouldRetry ? (habits.retryStatus ?? status) : habits.stopStatus(status, isKnown), headers };
}
