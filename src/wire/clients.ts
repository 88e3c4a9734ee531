/**
 * The programs that call, known by their `User-Agent`, and what makes each of them retry or stop (docs/agents.md).
 *
 * An error has one of two meanings for a caller: come back in n seconds, or don't come back. How that has to be written differs. The
 * official SDKs and Claude Code obey `x-should-retry`; other programs look at the status alone, and a 5xx after all targets have
 * failed then costs several more rounds of calls. So a status may be replaced by another one with a near meaning that the program
 * treats as intended. An unknown program gets the status as it is.
 */
export const CLIENT_PROGRAMS = [
  'claude-code', 'codex', 'opencode', 'gemini-cli', 'cline', 'ai-sdk', 'openai-sdk', 'anthropic-sdk', 'litellm',
] as const; // prettier-ignore
export type ClientProgram = (typeof CLIENT_PROGRAMS)[number];

interface HasHeaders {
  header(name: string): string | undefined;
}

/** What an error means for its caller. */
export interface RetryAdvice {
  /** The same request may succeed after the wait. */
  readonly comesBack: boolean;
  /** How long that takes, in milliseconds; null: unknown. */
  readonly waitMs: number | null;
}

export const DO_NOT_RETRY: RetryAdvice = { comesBack: false, waitMs: null };

export interface RetrySignals {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: string[];
}

/** More of a `User-Agent` names libraries, not the program. */
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

/** Agents whose parts are products of their own: the desktop application, the editor extension and the SDK of Codex, `GeminiCLI-tui`. */
const FAMILY = /^(codex|geminicli|opencode|cline)(?:[_-]|$)/;

interface RetryHabits {
  /** The status with which it waits for `retry-after` and tries again; null: it does so with any that means that. */
  readonly comeBack: number | null;
  /** For a final status, the nearest one that it does not repeat. `isWaitKnown`: a `retry-after` stands beside it. */
  readonly stop: (status: number, isWaitKnown: boolean) => number;
  /** It comes back after a `retry-after` with any status that it repeats, so that none may stand beside a final one. */
  readonly obeysEveryWait: boolean;
}

/** A provider behind us failed (RFC 4918, 11.4): what a failed upstream is as a 4xx. */
const FAILED_DEPENDENCY = 424;

/** What each program does with an error; measured with the program, or read in its source. Those that are not here obey `x-should-retry`. */
const HABITS: Readonly<Partial<Record<ClientProgram, RetryHabits>>> = {
  // One call for 400 and for 429 without retry-after, six for any other 4xx, thirty for a 5xx (0.171).
  codex: { comeBack: 429, stop: stopCodex, obeysEveryWait: true },
  // Repeats 408, 409, 429 and 5xx: without a limit, after any retry-after (1.18); twice, after one of a minute at most (ai 7).
  opencode: { comeBack: null, stop: stopByStatus, obeysEveryWait: false },
  'ai-sdk': { comeBack: null, stop: stopByStatus, obeysEveryWait: false },
  // Repeats 429 and 5xx, ten times in all (0.61).
  'gemini-cli': { comeBack: null, stop: stopByStatus, obeysEveryWait: false },
  // Repeats 429 alone; the SDKs that it is built on obey x-should-retry (3).
  cline: { comeBack: 429, stop: (status) => (status === 429 ? 503 : status), obeysEveryWait: true },
};

/** 401 and 403 say whose key is at fault; every other 4xx is a fault of the request. */
function stopCodex(status: number): number {
  if (status >= 500 || status === 429 || status === 408 || status === 424 || status === 425) return 429;
  return status === 401 || status === 403 ? status : 400;
}

/** A rate limit whose end is known is waited for, and stays what it is. */
function stopByStatus(status: number, isWaitKnown: boolean): number {
  if (status === 409) return 400;
  const isRepeated = status >= 500 || status === 408 || status === 425 || (status === 429 && !isWaitKnown);
  return isRepeated ? FAILED_DEPENDENCY : status;
}

/** A longer wait is obeyed literally by some clients, and ignored by others, which then retry at once. */
const WAIT_MAX_MS = 60_000;

/** The status and the headers that tell `program` when to retry, or not to: `x-should-retry`, `retry-after` in whole seconds, rounded up, and `retry-after-ms`. */
export function retrySignals(program: ClientProgram | null, status: number, { comesBack, waitMs }: RetryAdvice): RetrySignals {
  const isKnown = waitMs !== null && Number.isFinite(waitMs);
  const ms = isKnown ? Math.max(0, Math.ceil(waitMs)) : 0;
  const isWorthIt = isKnown && comesBack && ms <= WAIT_MAX_MS;
  const habits = program === null ? undefined : HABITS[program];
  const headers = ['x-should-retry', String(isWorthIt)];
  if (isKnown && (isWorthIt || habits?.obeysEveryWait !== true)) {
    headers.push('retry-after', String(Math.ceil(ms / 1000)), 'retry-after-ms', String(ms));
  }
  if (habits === undefined || status < 400) return { status, headers };
  return { status: isWorthIt ? (habits.comeBack ?? status) : habits.stop(status, isKnown), headers };
}
