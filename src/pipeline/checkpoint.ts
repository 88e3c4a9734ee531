/** Persists a request before it is sent for the first time. */
import { BreakwaterError } from '../core/errors.ts';
import type { Admitted } from './admission/admission.ts';
import type { Output } from './delivery/output.ts';

/** False: the request has ended, its permit is returned, and its caller has a response. */
export async function checkpoint(output: Output, { permit }: Admitted): Promise<boolean> {
  const { active } = output;
  let fault: unknown = null;
  try {
    await active.request.beforeSending?.();
  } catch (error) {
    fault = error;
  }
  if (fault === null && !active.isOver) return true;
  active.engine.admission.cancel(permit);
  if (fault instanceof BreakwaterError) output.fail(fault);
  else if (fault !== null) output.failInternal(fault);
  else if (active.stopError !== null) output.fail(active.stopError);
  return false;
}
