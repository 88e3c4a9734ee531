import type { JudgeModel, QualityCheck } from '../../core/quality.ts';
import type { QualityRules } from '../../policy/quality/quality.ts';

/** What one target of a route must answer, made once from its policy. */
export interface TargetQuality {
  readonly rules: QualityRules;
  /** Whether JSON is held against what the request asks for. */
  readonly jsonSchema: boolean;
  /** Streams are held back whole. */
  readonly buffer: boolean;
  /** The operator's own check; null: none. */
  readonly check: QualityCheck | JudgeModel | null;
  /** How long the check may take, in milliseconds. */
  readonly checkTimeoutMs: number;
}
