/** What has to be on disk before a request is sent for the first time. */
import { BreakwaterError } from '../../core/errors.ts';
import type { Admitted } from './admission.ts';
import type { RequestRun } from '../run.ts';

/** False: the request is over, its permit was given back, and its caller has been answered. */
export async function checkpoint(run: RequestRun, { permit }: Admitted): Promise<boolean> {
  let fault: unknown = null;
  try {
    await run.request.beforeSending?.();
  } catch (error) {
    fault = error;
  }
  if (fault === null && !run.isOver) return true;
  run.engine.admission.cancel(permit);
  if (fault instanceof BreakwaterError) run.fail(fault);
  else if (fault !== null) run.failInside(fault);
  else if (run.stopError !== null) run.fail(run.stopError);
  return false;
}
