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
import type { Converted } from '../conversion/sent-body.ts';

/** - `peer`: a target worth trying beside a silent one
 *  - `stand-in`: only a model on this machine, used when nothing else can respond before the deadline
 */
export type Alternative = 'none' | 'peer' | 'stand-in';

/** The targets left to a request. */
export interface Alternatives {
  /** Among the untried targets of another name. */
  alternativeTo(beside: RouteTarget, now: Instant): Alternative;
  /** The latest start that lets a stand-in on this machine respond before the deadline. */
  readonly standInAt: Instant;
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
  /** Null: the target gets the request as it came. */
  readonly conversion: Converted | null;
  /** Changes that the target needs, beside the route's own. */
  readonly repairs: readonly Repair[];
  /** Opaque pieces that are left out for it; null: there are none. */
  readonly cut: BodyCut | null;
  readonly owner: AttemptOwner;
  readonly alternatives: Alternatives;
  /** It goes on with an answer that broke off: no quality of its own. */
  readonly isOnward: boolean;
  /** Why it runs beside another one; null: it doesn't. */
  readonly race: RaceCause | null;
}

/** What comes after the candidate was taken. */
export interface AnswerConsumer {
  onChunks(pieces: readonly Uint8Array[]): void;
  onEnd(): void;
  onFailure(failure: Failure): void;
  /** Its own work threw, in the middle of an end: no other end will be told. */
  onThrown(error: unknown): void;
}

export const NO_CONSUMER: AnswerConsumer = { onChunks() {}, onEnd() {}, onFailure() {}, onThrown() {} };
