/** Policy settings that several sources have. */
import { policySettings } from '../../gateway/config/policy-schema.ts';
import { durationText, type Draft, type Fields, type Timeouts } from './draft.ts';

const DEFAULTS = policySettings.defaults;
const ATTEMPTS_MAX = 100;
/** The longest values that the config accepts. */
const ATTEMPT_MS_MAX = 86_400_000;
const FIRST_CONTENT_MS_MAX = 3_600_000;
/** The shortest automatic timeout of a non-streaming response. */
const AUTO_HEADERS_MS = 300_000;

/** The timeouts, with a deadline that leaves time for an attempt if `deadlineMs`, the one that applies otherwise, is shorter. */
export function timeoutPolicy(draft: Draft, where: string, timeouts: Timeouts, deadlineMs: number = DEFAULTS.deadline): Fields {
  const attemptMs = timeouts.attemptMs === null ? null : Math.min(timeouts.attemptMs, ATTEMPT_MS_MAX);
  const firstContentMs = timeouts.firstContentMs === null ? null : Math.min(timeouts.firstContentMs, FIRST_CONTENT_MS_MAX);
  if (attemptMs === null && firstContentMs === null) return {};
  if (attemptMs !== null && attemptMs > AUTO_HEADERS_MS)
    draft.note(
      where,
      `timeouts.attempt: ${durationText(attemptMs)}; a non-streaming response also has to arrive within timeouts.headers, by default 5 or 10 minutes: raise it for longer ones`,
    );
  const deadline = durationText(attemptMs ?? 0);
  return {
    timeouts: {
      ...(attemptMs === null ? {} : { attempt: durationText(attemptMs) }),
      ...(firstContentMs === null ? {} : { firstContent: durationText(firstContentMs) }),
    },
    ...((attemptMs ?? 0) > deadlineMs ? { deadline } : {}),
    ...((attemptMs ?? 0) > Math.max(deadlineMs, DEFAULTS.maxDeadline) ? { maxDeadline: deadline } : {}),
  };
}

/** Attempts for the source's retries, and for the last tier of every route. `retries` null: the source sets none. */
export function attemptPolicy(draft: Draft, where: string, retries: number | null): Fields {
  const tiers = [...draft.routes.values()].reduce((most, route) => Math.max(most, route.tiers.length), 1);
  const maxAttempts = Math.min(ATTEMPTS_MAX, Math.max(retries === null ? DEFAULTS.maxAttempts : Math.round(retries) + 1, tiers));
  if (retries === null && maxAttempts === DEFAULTS.maxAttempts) return {};
  draft.note(where, `policy.maxAttempts: ${maxAttempts} counts all upstream calls of a request, over all targets and tiers`);
  return { maxAttempts };
}
