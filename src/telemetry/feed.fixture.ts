/** A feed of a gateway of which only events are real, and its readers. */
import assert from 'node:assert/strict';
import { EventBus } from '../core/events.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { attempt, attemptEnd, finished, received } from './events.fixture.ts';
import type { FeedReader, FeedSubscription } from './feed.ts';
import type { HelloFrame, TickFrame } from './feed-frames.ts';
import { createTelemetry } from './telemetry.ts';

interface Frame {
  readonly id: string;
  readonly type: string;
  readonly data: HelloFrame & TickFrame;
}

/** A reader of frames. If `isSlow`, it falls behind after each frame until it has caught up. */
export class Reader implements FeedReader {
  readonly frames: Frame[] = [];
  closed: string | null = null;
  isSlow = false;

  send(event: Uint8Array): boolean {
    const match = /^id: (.+)\nevent: (.+)\ndata: (.+)\n\n$/.exec(Buffer.from(event).toString());
    assert.ok(match);
    this.frames.push({ id: match[1]!, type: match[2]!, data: JSON.parse(match[3]!) });
    return !this.isSlow;
  }

  close(cause: string): void {
    this.closed = cause;
  }

  get last(): Frame {
    return this.frames.at(-1)!;
  }
}

export function setUp(options: { secrets?: string[]; status?: () => unknown } = {}) {
  const clock = createManualClock({ epochMs: 1_700_000_000_000 });
  const { secrets = [], status } = options;
  const telemetry = createTelemetry({ logs: { level: 'silent' }, requests: { file: '' }, clock, secrets, ...(status && { status }) });
  const bus = new EventBus((error) => {
    throw error;
  });
  telemetry.attach(bus);
  const { feed } = telemetry;
  function subscribe(lastEventId: string | null = null): { reader: Reader; subscription: FeedSubscription } {
    const reader = new Reader();
    return { reader, subscription: feed.subscribe(reader, lastEventId)! };
  }
  function request(id: string, change: Parameters<typeof finished>[0] = {}): void {
    const of = { requestId: id, at: clock.now() };
    bus.emit(received(of));
    bus.emit(attempt(of));
    bus.emit(attemptEnd(of));
    bus.emit(finished({ ...of, ...change }));
  }
  return { clock, bus, telemetry, feed, subscribe, request };
}
