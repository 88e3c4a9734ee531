/** What can be set on Storm's batch APIs. */

export const BATCH_FAULTS = [
  /** No request is processed, until the batch is cancelled. */
  'never',
  /** Half of the requests are processed at the usual time, and the rest never. */
  'stuck',
  /** Half of the requests are processed, and the batch expires. */
  'expire',
  /** The validation of the input fails. */
  'invalid',
  /** Every third request fails. */
  'partial',
  /** Each download of the results ends in the middle of a line, as if it were whole. */
  'short',
  /** The first two downloads of the results break off. */
  'cut',
  /** The first two creations are refused with 429 and retry-after: 1. */
  '429-submit',
  /** Every creation is refused with 429 and retry-after: 1. */
  '429-always',
  /** Every other poll of a batch gets 503. */
  '503-poll',
  /** The first two polls of a completed batch name no result file. */
  'late-file',
  /** A cancelled batch stays `cancelling`, and its requests are never reported. */
  'deaf',
  /** The connection of the first creation is reset after the batch was created. */
  'lost-reply',
] as const;

export type BatchFault = (typeof BATCH_FAULTS)[number];

export interface StormBatchOptions {
  /** From the creation of a batch to its results, in milliseconds. Default: 0. */
  readonly afterMs?: number;
  /** Default: none. */
  readonly fault?: BatchFault | null;
}

export interface StormBatchStats {
  readonly created: number;
  readonly cancelled: number;
  /** Requests processed, and so billed. */
  readonly processed: number;
  /** The same by the text of their last message or prompt; the first 10,000 texts. */
  readonly byPrompt: Record<string, number>;
  /** Polls of single batches. */
  readonly polls: number;
  /** Files that exist now. */
  readonly files: number;
}
