import type { DialectName } from '../../wire/model.ts';
import type { ConvertedRequest } from '../../wire/conversion.ts';
import type { TargetCapabilities } from '../../wire/conversion-loss.ts';

/** To the worker: a request that was decoded before. */
export interface ConversionQuestion {
  readonly id: number;
  readonly from: DialectName;
  readonly to: DialectName;
  readonly bytes: Uint8Array;
  readonly stream: boolean;
  readonly can: TargetCapabilities;
}

/** From the worker; null: it could not be converted there. */
export interface ConversionReply {
  readonly id: number;
  readonly converted: ConvertedRequest | null;
  /** Its `echo` as JSON: exact numbers can't be copied. */
  readonly echo: string;
}
