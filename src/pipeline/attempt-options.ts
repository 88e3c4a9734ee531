import type { Instant } from '../core/clock.ts';
import type { RaceCause } from '../core/events.ts';
import type { Failure } from '../core/facts.ts';
import type { ByteRoom } from '../core/held-bytes.ts';
import type { SecretMask } from '../core/secrets/secret-mask.ts';
import type { Permit } from '../core/permit.ts';
import type { Repair } from '../policy/repair/repair.ts';
import type { GatewayRequest } from './gateway-request.ts';
import type { BodyCut } from './opaque/pieces.ts';
import type { RouteTarget } from './route.ts';
import type { RequestSigner } from '../transport/transport.ts';
import type { Converted } from './sent-body.ts';

/** - `peer`: a target that is worth asking beside a silent one
 *  - `stand-in`: only a model on this machine, which stands in when nothing else can answer in time
 */
export type AtHand = 'none' | 'peer' | 'stand-in';

/** The request that an attempt is made for. */
export interface AttemptOwner {
  /** Where what is held of its answer is counted. */
  readonly held: ByteRoom;
  /** What is masked in all that the provider says. */
  readonly secrets: SecretMask;
  /** Which untried targets of another name could answer. */
  atHand(beside: RouteTarget, now: Instant): AtHand;
  /** When a stand-in on this machine has to start, to answer before the deadline. */
  readonly standInAt: Instant;
  /** An attempt has been silent for too long. */
  onSilence(): void;
  /** A fault of ours is told to the operator. */
  warn(error: unknown): void;
  /** No connection could be opened, because this process or machine is out of something. */
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
  /** Null: fixed headers authenticate it. */
  readonly signer: RequestSigner | null;
  readonly owner: AttemptOwner;
  /** It goes on with an answer that broke off: no quality of its own. */
  readonly isOnward: boolean;
  /** Why it runs beside another one; null: it doesn't. */
  readonly race: RaceCause | null;
}

/** What comes after the candidate was taken. */
export interface AnswerConsumer {
  onPieces(pieces: readonly Uint8Array[]): void;
  onEnd(): void;
  onFailure(failure: Failure): void;
  /** Its own work threw, in the middle of an end: no other end will be told. */
  onThrown(error: unknown): void;
}

export const NO_CONSUMER: AnswerConsumer = { onPieces() {}, onEnd() {}, onFailure() {}, onThrown() {} };
