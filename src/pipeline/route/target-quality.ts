import type { JudgeModel, QualityCheck } from '../../core/quality.ts';
import type { QualityRules } from '../../policy/quality/quality.ts';

/** The quality requirements of one target of a route, built once from its policy. */
export interface TargetQuality {
  readonly rules: QualityRules;
  /** Whether JSON is validated against the format that the request names. */
  readonly jsonSchema: boolean;
  /** Streams are buffered whole. */
  readonly buffer: boolean;
  /** The operator's own check; null: none. */
  readonly check: QualityCheck | JudgeModel | null;
  /** Timeout of the check, in milliseconds. */
  readonly checkTimeoutMs: number;
}
