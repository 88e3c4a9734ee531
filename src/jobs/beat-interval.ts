import type { OpenJob } from '../store/jobs/job-store.ts';

/** Between heartbeats, in milliseconds: with open jobs, and without. */
export const BEAT_MS = 3_000;
const IDLE_BEAT_MS = 300_000;
/** The same if other instances create jobs: an announcement may be lost. */
const SHARED_IDLE_BEAT_MS = 60_000;

/** The time until the next heartbeat, in milliseconds. `open`: the open jobs; null if they are not known. */
export function nextBeatMs(
  open: readonly OpenJob[] | null,
  nowMs: number,
  kinds: { has(kind: string): boolean },
  isShared: boolean,
): number {
  if (open === null) return BEAT_MS;
  if (open.length === 0) return isShared ? SHARED_IDLE_BEAT_MS : IDLE_BEAT_MS;
  const running = open.filter(({ kind, state, ending }) => state === 'in_progress' && ending === null && kinds.has(kind));
  const endsInMs = Math.min(...running.map(({ endsAtMs }) => endsAtMs - nowMs));
  return Math.max(1, Math.min(BEAT_MS, endsInMs));
}
