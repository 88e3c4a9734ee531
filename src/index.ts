/** Breakwater as a library: a contents page. */
export type { Clock, Instant, Timer } from './core/clock.ts';
export type {
  AttemptEndEvent,
  AttemptEvent,
  BackoffEvent,
  Blocker,
  BreakerEvent,
  BreakwaterEvent,
  CommittedEvent,
  CooldownEvent,
  EventOf,
  EventType,
  FinishedEvent,
  LifecycleEvent,
  Listener,
  NoteEvent,
  QueuedEvent,
  ReceivedEvent,
  RequestOutcome,
  WarningEvent,
} from './core/events.ts';
export type { AnswerChoice, CheckedAnswer, JudgeModel, QualityCheck, FailedQualityCheck } from './core/quality.ts';
export type { Random } from './core/random.ts';
export type { ConfigInput } from './gateway/config/index.ts';
export { createBreakwater, type Breakwater, type BreakwaterOptions, type LibraryConfig } from './server/breakwater.ts';
export type { GatewayAddress } from './server/library/gateway-mode.ts';
