/** What has to be on disk before a request is sent for the first time. */
import { BreakwaterError } from '../core/errors.ts';
import type { Admitted } from './admission/admission.ts';
import type { Output } from './delivery/output.ts';

/** False: the request is over, its permit was given back, and its caller has been answered. */
export async function checkpoint(output: Output, { permit }: Admitted): Promise<boolean> {
  let fault: unknown = null;
  try {
    await output.active.request.beforeSending?.();
  } catch (error) {
    fault = error;
  }
  if (fault === null && !output.active.isOver) return true;
  output.active.engine.admission.cancel(permit);
  if (fault instanceof BreakwaterError) output.fail(fault);
  else if (fault !== null) output.failInternal(fault);
  else if (output.active.stopError !== null) output.fail(output.active.stopError);
  return false;
}
