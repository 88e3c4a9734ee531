/** What all requests of one gateway share. */
import type { Clock, Instant } from '../../core/clock.ts';
import type { EventSink } from '../../core/events.ts';
import type { HeldBytes } from '../../core/held-bytes.ts';
import type { Permit } from '../../core/permit.ts';
import type { Random } from '../../core/random.ts';
import type { Settlement } from '../../core/resource.ts';
import type { SlicedWork } from '../../core/sliced-work.ts';
import type { Pace } from '../../core/pace.ts';
import type { SecretMask } from '../../core/secrets/secret-mask.ts';
import type { MakerBook } from '../../policy/opaque/maker-book.ts';
import type { Transport } from '../../transport/transport.ts';
import type { Admission } from '../admission/admission.ts';
import type { AnswerBook } from '../sharing/response-cache.ts';
import type { ModelAnswer, ModelQuestion } from './model-question.ts';
import { countsCached } from '../route/route.ts';
import type { RouteTarget, TargetState } from '../route/route.ts';
import type { RunningList } from './running-list.ts';
import type { StalledReaders } from '../delivery/stalled-readers.ts';
import type { SchemaCheck } from '../quality/schema/schema-check.ts';

export interface Engine {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventSink;
  readonly transport: Transport;
  readonly admission: Admission;
  /** Every answer says that it is simulated (the demo). */
  readonly simulated: boolean;
  readonly running: RunningList;
  /** Answers whose callers are behind. */
  readonly stalled: StalledReaders;
  /** Answers that are given more than once. */
  readonly answers: AnswerBook;
  /** Who made which opaque piece of a conversation. */
  readonly makers: MakerBook;
  /** Bodies and answers in memory. */
  readonly held: HeldBytes;
  readonly schemas: SchemaCheck;
  /** Asks the provider itself about a credential that was refused to one request. */
  readonly keyCheck: { raise(state: TargetState): void };
  /** For what takes longer than a turn of the event loop should. */
  readonly slices: SlicedWork;
  /** When operators were warned of our own exhaustion. */
  readonly exhaustion: Pace;
  /** What no caller may see; replaced by a reload. */
  secrets: SecretMask;
  /** Asks a model on behalf of a request; never rejects. */
  readonly askModel: (question: ModelQuestion) => Promise<ModelAnswer>;
}

/** Closes the permit of an attempt that was sent, and tells what that changed. `pauseUntil`: until when the target asks to be left alone. */
export function settleAttempt(
  engine: Engine,
  target: RouteTarget,
  permit: Permit,
  settlement: Settlement,
  pauseUntil: Instant = -Infinity,
): void {
  const { state } = target;
  const now = engine.clock.now();
  const { health } = settlement;
  const { source } = permit.need;
  const countsForAll =
    health === 'success' || (health === 'failure' && (source === undefined || state.breaker.levelAlone(source) === null));
  state.inFlight--;
  permit.settle(now, asCounted(state, settlement));
  state.breaker.extend(pauseUntil);
  if (countsForAll) state.health.record(now, health === 'success');
  tellBreaker(engine, state);
  engine.admission.pump();
}

/** Limits are settled with what the provider counts, not with what it reports. */
function asCounted(state: TargetState, settlement: Settlement): Settlement {
  const { usage } = settlement;
  if (usage === null || usage.cachedInputTokens === 0 || countsCached(state)) return settlement;
  return { ...settlement, usage: { ...usage, inputTokens: Math.max(0, usage.inputTokens - usage.cachedInputTokens) } };
}

/** Emits a breaker's change of state, if there was one since the last time. */
export function tellBreaker(engine: Engine, state: TargetState): void {
  const { breaker, told } = state;
  const before = told.breaker;
  if (breaker.state === before) return;
  told.breaker = breaker.state;
  const at = engine.clock.now();
  engine.events.emit({ type: 'breaker', at, target: state.name, from: before, to: breaker.state, openForMs: breaker.openForMs(at) });
}

/** An answer has begun: what was on trial has done well so far, and those who waited for that may go on. */
export function proveAnswer(engine: Engine, permit: Permit): void {
  if (permit.prove(engine.clock.now())) engine.admission.pump();
}
