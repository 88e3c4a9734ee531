/** Persists a request before it is sent for the first time. */
import { BreakwaterError } from '../core/errors.ts';
import type { Admitted } from './admission/admission.ts';
import type { Output } from './delivery/output.ts';

/**
 * A permit that is held longer is returned, and a new one is requested: limits that are learned do not count from when a call is sent, and
 * calls whose checkpoints end together, after a disk has stalled, would exceed a burst.
 */
const HELD_MAX_MS = 1_000;

/** `late`: it is persisted and needs a new permit. `ended`: its permit is returned, and its caller has a response. */
export async function checkpoint(output: Output, { permit }: Admitted): Promise<'saved' | 'late' | 'ended'> {
  const { active } = output;
  const { admission, clock } = active.engine;
  const startedAt = clock.now();
  permit.hold(startedAt);
  let fault: unknown = null;
  try {
    await active.request.beforeSending?.();
  } catch (error) {
    fault = error;
  }
  const isLate = clock.now() - startedAt > HELD_MAX_MS;
  if (fault === null && !active.isOver && !isLate) return 'saved';
  admission.cancel(permit);
  if (fault instanceof BreakwaterError) output.fail(fault);
  else if (fault !== null) output.failInternal(fault);
  else if (!active.isOver) return 'late';
  else if (active.stopError !== null) output.fail(active.stopError);
  return 'ended';
}
