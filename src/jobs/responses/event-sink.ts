/**
 * The events of a streamed background response: numbered, saved, and shown only after that. So a reader that returns after a crash of this
 * process finds all events that it has seen, and numbers only increase.
 *
 * The first two events (`response.created`, `response.queued`) and the last one are built from the job when they are read. A restarted
 * stream, after the first attempt broke off or its process died, drops the saved events and continues the numbering.
 */
import type { HeaderPairs } from '../../core/headers.ts';
import { ERROR_CATALOGUE, type ErrorCode } from '../../core/errors.ts';
import { isRecord } from '../../core/json.ts';
import type { ItemKey, Job } from '../../store/jobs/job-store.ts';
import { parseRecord } from '../../wire/json-exact.ts';
import { recordsIn, textIn, type Fields } from '../../wire/loose-values.ts';
import { SseFramer } from '../../wire/sse/sse-framer.ts';
import { writeJson } from '../../wire/write-json.ts';
import type { JobHost } from '../host.ts';
import { ItemSink } from '../item-sink.ts';
import { saved } from '../saved.ts';

/** The events built from the job: `response.created` and `response.queued`. */
export const FIRST_EVENTS = 2;
/** The most bytes of events that wait to be saved; beyond it the response is paused. */
const WAITING_BYTES_MAX = 256 * 1024;
/** The largest event, in bytes; the pipeline's own limit is smaller. */
const EVENT_BYTES_MAX = 64 * 1024 * 1024;

/** Valid event names. */
const EVENT_TYPE = /^[\w.-]{1,100}$/;

const INTERNAL_ERROR = 500;
const BAD_GATEWAY = 502;
const STATUS_BY_CODE: Readonly<Record<string, number>> = { rate_limit_exceeded: 429, server_error: 500, invalid_prompt: 400 };

export class EventSink extends ItemSink {
  readonly #host: JobHost;
  readonly #job: Job;
  readonly #key: ItemKey;
  readonly #closing: AbortSignal;
  readonly #onSaved: () => void;
  #framer: SseFramer | null = null;
  #waiting: Fields[] = [];
  #waitingBytes = 0;
  /** The number of the next event; null until earlier saved events are dropped. */
  #next: number | null = null;
  #saving: Promise<void> | null = null;
  #onDrain: (() => void) | null = null;
  /** Finished output items, as the last event may omit the output. */
  readonly #items: Fields[] = [];
  /** Output has started. */
  #hasBegun = false;
  #final: Fields | null = null;
  #error: Fields | null = null;

  constructor(host: JobHost, job: Job, key: ItemKey, closing: AbortSignal, onSaved: () => void) {
    super();
    this.#host = host;
    this.#job = job;
    this.#key = key;
    this.#closing = closing;
    this.#onSaved = onSaved;
  }

  override head(status: number, headers: HeaderPairs): void {
    super.head(status, headers);
    if (status === 200) this.#framer = new SseFramer(EVENT_BYTES_MAX);
  }

  override write(bytes: Uint8Array): boolean {
    if (this.#framer === null) return super.write(bytes);
    this.#read(bytes);
    return this.#waitingBytes <= WAITING_BYTES_MAX;
  }

  override end(bytes?: Uint8Array): void {
    if (this.#framer === null) return super.end(bytes);
    if (bytes !== undefined) this.#read(bytes);
    super.end();
    const { status, body } = this.#outcome();
    this.replace(status, Buffer.from(writeJson(body)));
  }

  override onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  override async settled(): Promise<void> {
    while (this.#saving !== null) await this.#saving;
  }

  #outcome(): { status: number; body: Fields } {
    const ending = this.#final?.['status'];
    if (ending === 'completed' || ending === 'incomplete') {
      const output = recordsIn(this.#final!['output']).length > 0 ? this.#final!['output'] : this.#items;
      return { status: 200, body: { ...this.#final, output } };
    }
    const said = this.#final?.['error'];
    const error = this.#error ?? (isRecord(said) ? said : null);
    const code = textIn(error?.['code']);
    const known = code in ERROR_CATALOGUE ? ERROR_CATALOGUE[code as ErrorCode].status : STATUS_BY_CODE[code];
    const message = textIn(error?.['message']) || 'the stream ended early';
    // Each restart of a stream that breaks off is billed, so it is not retried like an outage.
    const status = this.#hasBegun ? INTERNAL_ERROR : (known ?? BAD_GATEWAY);
    return { status, body: { error: { code, message } } };
  }

  #read(bytes: Uint8Array): void {
    const framer = this.#framer!;
    framer.push(bytes);
    while (framer.next()) {
      const data = framer.readData();
      const event = data === null ? null : parseRecord(data);
      if (event !== null) this.#take(event, data!.length);
    }
  }

  /** `length`: the length of its text. */
  #take(event: Fields, length: number): void {
    if (this.hasLeft) return; // nothing is saved any more
    const { type } = event;
    if (typeof type !== 'string' || !EVENT_TYPE.test(type)) return;
    if (type === 'response.created' || type === 'response.queued') return;
    if (type === 'error') {
      this.#error = isRecord(event['error']) ? event['error'] : event;
      return;
    }
    if (type === 'response.output_item.done' && isRecord(event['item'])) this.#items.push(event['item']);
    if (type === 'response.completed' || type === 'response.incomplete' || type === 'response.failed') {
      this.#final = isRecord(event['response']) ? event['response'] : {};
      return;
    }
    if (type !== 'response.in_progress') this.#hasBegun = true;
    const { response } = event;
    this.#waiting.push(isRecord(response) ? { ...event, response: this.#shown(response) } : event);
    this.#waitingBytes += length;
    this.#saving ??= this.#save();
  }

  /** The response with the id that its creator received. */
  #shown(response: Fields): Fields {
    return { ...response, id: this.#job.id, created_at: Math.floor(this.#job.createdAtMs / 1000), background: true };
  }

  async #save(): Promise<void> {
    const { store } = this.#host;
    while (this.#waiting.length > 0 && !this.hasLeft) {
      const restarted = this.#next ?? (await saved(this.#host, this.#closing, () => store.restartEvents(this.#key)));
      if (restarted === null || restarted === undefined) break;
      const first = Math.max(restarted, FIRST_EVENTS);
      const events = this.#waiting.splice(0);
      this.#waitingBytes = 0;
      const text = events.map((event, i) => namedEvent({ ...event, sequence_number: first + i })).join('');
      const group = { first, count: events.length, bytes: Buffer.from(text) };
      const isOurs = await saved(this.#host, this.#closing, () => store.appendEvents(this.#key, group));
      if (isOurs !== true) {
        this.leave();
        break;
      }
      this.#next = first + events.length;
      this.#onSaved();
      const drained = this.#onDrain;
      this.#onDrain = null;
      drained?.();
    }
    this.#saving = null;
    // The job was cancelled, or another process considered this one dead.
    if (this.#waiting.length > 0) this.leave();
  }
}

export function namedEvent(event: Fields): string {
  return `event: ${textIn(event['type'])}\ndata: ${writeJson(event)}\n\n`;
}
