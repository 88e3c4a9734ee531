/** `GET /admin/events`: the dashboard's feed as server-sent events (HTML standard, 9.2). Content: see telemetry/feed-frames.ts. */
import { BreakwaterError } from '../core/errors.ts';
import type { FeedReader, FeedSubscription } from '../telemetry/feed.ts';
import { admitOperator } from './admission.ts';
import type { Call } from './call.ts';
import type { Exchange } from './exchange.ts';

/** The Retry-After at the limit of readers, in milliseconds. */
const placeRetryMs = 10_000;
const headers = [
  'content-type',
  'text/event-stream',
  'cache-control',
  'no-store',
  'x-accel-buffering',
  'no',
  'x-content-type-options',
  'nosniff',
];

export function showEvents(call: Call): void {
  const { feed } = call.app;
  if (feed === null) throw new BreakwaterError('not_found', 'events are not available');
  if (call.exchange.method === 'HEAD') return call.sendNothing(200, [...headers]);
  const reader = new ExchangeReader(call, [...headers, 'x-request-id', call.id]);
  const subscription = feed.subscribe(reader, call.exchange.header('last-event-id') ?? null);
  if (subscription === null)
    throw new BreakwaterError('queue_full', 'too many readers of /admin/events, or the gateway is shutting down', {
      retryAfterMs: placeRetryMs,
    });
  reader.begin(subscription);
}

/** One reader of the feed. The head is not sent before the subscription is accepted. */
class ExchangeReader implements FeedReader {
  readonly #call: Call;
  readonly #exchange: Exchange;
  readonly #headers: string[];
  #subscription: FeedSubscription | null = null;
  #waiting: Uint8Array | null = null;

  constructor(call: Call, head: string[]) {
    this.#call = call;
    this.#exchange = call.exchange;
    this.#headers = head;
  }

  begin(subscription: FeedSubscription): void {
    this.#subscription = subscription;
    const { hasLeft } = this.#exchange;
    if (hasLeft) return subscription.stop();
    this.#exchange.onLeave = () => subscription.stop();
    this.#exchange.head(200, this.#headers);
    const first = this.#waiting;
    this.#waiting = null;
    if (first === null || this.send(first)) subscription.caughtUp();
  }

  send(event: Uint8Array): boolean {
    // The first frame is sent during `subscribe`.
    if (this.#subscription === null) {
      this.#waiting = event;
      return false;
    }
    if (!this.#isAdmitted()) {
      this.#subscription.stop();
      this.close('stopped');
      return true;
    }
    if (this.#exchange.write(event)) return true;
    this.#exchange.onDrain(() => this.#subscription?.caughtUp());
    return false;
  }

  /** Checked at each frame: a reload may have changed the admin key. */
  #isAdmitted(): boolean {
    try {
      admitOperator(this.#call);
      return true;
    } catch {
      return false;
    }
  }

  close(cause: 'behind' | 'stopped'): void {
    this.#exchange.onLeave = null;
    // A reader that is too slow may never receive the rest.
    if (cause === 'behind') this.#exchange.abort();
    else this.#exchange.end();
  }
}
