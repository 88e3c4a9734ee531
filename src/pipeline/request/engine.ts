/** State shared by all requests of one gateway. */
import type { Clock } from '../../core/clock.ts';
import type { EventSink } from '../../core/events.ts';
import type { HeldBytes } from '../../core/held-bytes.ts';
import type { Random } from '../../core/random.ts';
import type { SlicedWork } from '../../core/sliced-work.ts';
import type { Pace } from '../../core/pace.ts';
import type { SecretMask } from '../../core/secrets/secret-mask.ts';
import type { PieceOrigins } from '../../policy/opaque/piece-origins.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Admission } from '../admission/admission.ts';
import type { TargetState } from '../route/route.ts';
import type { RunningList } from './running-list.ts';

export interface Engine {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventSink;
  readonly transport: Transport;
  readonly admission: Admission;
  /** Responses are marked as simulated (the demo). */
  readonly simulated: boolean;
  readonly running: RunningList;
  /** Which target made which opaque piece of a conversation. */
  readonly makers: PieceOrigins;
  /** Accounts for request bodies and responses held in memory. */
  readonly held: HeldBytes;
  /** Checks a credential that was refused to one request, by a call of its own to the provider. */
  readonly keyCheck: { raise(state: TargetState): void };
  /** Runs long work in slices, between other turns of the event loop. */
  readonly slices: SlicedWork;
  /** Limits warnings about this process running out of resources. */
  readonly exhaustion: Pace;
  /** Secrets masked in everything sent to callers; replaced on reload. */
  secrets: SecretMask;
}
