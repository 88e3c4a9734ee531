/** What all requests of one gateway share. */
import type { Clock } from '../../core/clock.ts';
import type { EventSink } from '../../core/events.ts';
import type { HeldBytes } from '../../core/held-bytes.ts';
import type { Random } from '../../core/random.ts';
import type { SlicedWork } from '../../core/sliced-work.ts';
import type { Pace } from '../../core/pace.ts';
import type { SecretMask } from '../../core/secrets/secret-mask.ts';
import type { MakerBook } from '../../policy/opaque/maker-book.ts';
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
  /** Every answer says that it is simulated (the demo). */
  readonly simulated: boolean;
  readonly running: RunningList;
  /** Who made which opaque piece of a conversation. */
  readonly makers: MakerBook;
  /** Bodies and answers in memory. */
  readonly held: HeldBytes;
  /** Asks the provider itself about a credential that was refused to one request. */
  readonly keyCheck: { raise(state: TargetState): void };
  /** For what takes longer than a turn of the event loop should. */
  readonly slices: SlicedWork;
  /** When operators were warned of our own exhaustion. */
  readonly exhaustion: Pace;
  /** What no caller may see; replaced by a reload. */
  secrets: SecretMask;
}
