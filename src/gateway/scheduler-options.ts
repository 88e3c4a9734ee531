/** Scheduler options from the configuration. */
import type { Random } from '../core/random.ts';
import type { RouteApplicant } from '../pipeline/admission/admission.ts';
import { choose } from '../pipeline/admission/affinity.ts';
import type { RouteTarget } from '../pipeline/route/route.ts';
import type { SchedulerOptions } from '../policy/scheduler/types.ts';
import { takeTurn } from '../policy/selection/selection.ts';
import type { Config } from './config/index.ts';

export function schedulerOptions(config: Config, random: Random): SchedulerOptions<RouteTarget, RouteApplicant> {
  const { queue } = config.policy;
  return {
    queueLengthMax: queue.maxSize,
    minShare: { low: queue.minShare.low, normal: queue.minShare.normal },
    choose: (startable, applicant, now) => choose(startable, applicant, now, random),
    onStart: takeTurn,
  };
}
