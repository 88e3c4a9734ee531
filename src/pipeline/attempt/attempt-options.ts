import type { Instant } from '../../core/clock.ts';
import type { RaceCause } from '../../core/events.ts';
import type { Failure } from '../../core/facts.ts';
import type { ByteBudget } from '../../core/held-bytes.ts';
import type { SecretMask } from '../../core/secrets/secret-mask.ts';
import type { Permit } from '../../core/permit.ts';
import type { Repair } from '../../policy/repair/repair.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import type { BodyCut } from '../opaque/pieces.ts';
import type { RouteTarget } from '../route/route.ts';
import type { RequestSigner } from '../../transport/transport.ts';
import type { Converted } from '../conversion/sent-body.ts';

/**
 * - `peer`: a target worth trying in parallel with a silent one
 * - `stand-in`: only a model on this machine, used when nothing else can respond before the deadline
 */
export type Alternative = 'none' | 'peer' | 'stand-in';

/** The untried targets of a request. */
export interface Alternatives {
  /** What is left besides `current`: another credential of the same target does not count. */
  alternativeTo(current: RouteTarget, now: Instant): Alternative;
  /** The latest start that lets a stand-in on this machine respond before the deadline. */
  readonly standInStart: Instant;
}

/** The request that an attempt belongs to. */
export interface AttemptOwner {
  /** Accounts for the bytes held of its response. */
  readonly held: ByteBudget;
  /** Secrets to be masked in everything the provider sends. */
  readonly secrets: SecretMask;
  /** An attempt has been silent for too long. */
  onSilence(): void;
  /** Reports an internal error to the operator. */
  warn(error: unknown): void;
  /** No connection could be opened, for lack of a resource of this process or machine. */
  noteExhaustion(failure: Failure): void;
}

export interface AttemptOptions {
  readonly number: number;
  readonly request: GatewayRequest;
  readonly target: RouteTarget;
  readonly permit: Permit;
  readonly deadline: Instant;
  /** Null: the request is not converted. */
  readonly conversion: Converted | null;
  /** Edits that the target requires, in addition to the route's own. */
  readonly repairs: readonly Repair[];
  /** Opaque pieces removed for this target; null: none. */
  readonly cut: BodyCut | null;
  /** Null: fixed headers authenticate it. */
  readonly signer: RequestSigner | null;
  readonly owner: AttemptOwner;
  readonly alternatives: Alternatives;
  /** It continues a response that broke off, and is exempt from quality checks. */
  readonly isContinuation: boolean;
  /** Why it runs in parallel with another attempt; null: it does not. */
  readonly race: RaceCause | null;
  /** The id of its span; null: traces are off. */
  readonly spanId: string | null;
}

/** Receives the response after the candidate is taken. */
export interface ResponseConsumer {
  onChunks(chunks: readonly Uint8Array[]): void;
  onEnd(): void;
  onFailure(failure: Failure): void;
  /** The consumer itself threw while the response ended; no other end is reported. */
  onThrown(error: unknown): void;
}

export const NO_CONSUMER: ResponseConsumer = { onChunks() {}, onEnd() {}, onFailure() {}, onThrown() {} };
