/** Types of the feed and the admin API, imported from the gateway. Types only: no gateway code is bundled into the page. */
import type { OperatorStatus } from '../../src/gateway/operator-status.ts';
import type { FeedState as AnyState, HelloFrame as AnyHello, TickFrame as AnyTick } from '../../src/telemetry/feed-frames.ts';

export type { OperatorStatus, ClientLimit, JobProgress, ModelEnd } from '../../src/gateway/operator-status.ts';
export type { SessionLimit } from '../../src/gateway/operator-config.ts';
export type { QueueGroup, QueueStatus, TargetStatus } from '../../src/gateway/gateway.ts';
export type { Cause, ClientActivity, ErrorCount, Notice, Point, PointColumn, TargetActivity } from '../../src/telemetry/feed-frames.ts';
export type { Step } from '../../src/telemetry/explanation.ts';
export type { RequestSummary, Timeline } from '../../src/telemetry/timelines.ts';
export type FeedState = AnyState<OperatorStatus>;
export type HelloFrame = AnyHello<OperatorStatus>;
export type TickFrame = AnyTick<OperatorStatus>;
export type Frame = { readonly type: 'hello'; readonly data: HelloFrame } | { readonly type: 'tick'; readonly data: TickFrame };

/** Meaning of a colour; colours are used for nothing else. */
export type Tone = 'good' | 'info' | 'warn' | 'bad';
