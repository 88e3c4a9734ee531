import type { LargeConversions } from './conversion/large-conversions.ts';
import type { DeliveryEngine } from './delivery/output.ts';
import type { QualityEngine } from './quality/judge-response.ts';
import type { SharingEngine } from './sharing/share.ts';

/** State shared by all requests of one gateway. */
export interface PipelineEngine extends SharingEngine, QualityEngine, DeliveryEngine {
  readonly conversions: LargeConversions;
}
