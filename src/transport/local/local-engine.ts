/**
 * One local model as a place to send to: its calls one at a time, in a thread that is started when one comes, and
 * started anew after it crashed. To its callers it looks like any provider: a status, bytes, an end.
 */
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import type { UpstreamCall, UpstreamListener } from '../transport.ts';
import type { EngineSpec } from '../../local/engine.ts';
import { EngineThread } from '../../local/engine-thread.ts';
import { LocalCall } from './local-call.ts';
import type { FromThread, ThreadError, ThreadMemory } from '../../local/messages.ts';

/** A call that was told to stop may take this long until its thread is ended with it, in ms: no step of a model lasts longer. */
const STOP_WAIT_MS = 5_000;
/** An engine may take this long to let go of what it holds, in ms. */
const CLOSE_WAIT_MS = 2_000;
/** A thread that crashed or could not load is started again after this, twice as long each time, in ms. */
const RESTART_MIN_MS = 1_000;
const RESTART_MAX_MS = 60_000;

const NOTHING: ThreadMemory = { heapBytes: 0, loadedBytes: 0 };

export interface EngineStatus {
  /** `provider/model`. */
  readonly name: string;
  readonly state: 'idle' | 'loading' | 'ready' | 'failed';
  /** In bytes. */
  readonly memory: ThreadMemory;
  /** Threads that crashed or could not load, since the start. */
  readonly crashes: number;
  /** Why it failed last; null: it hasn't, or has worked since. */
  readonly error: string | null;
}

export class LocalEngine {
  readonly spec: EngineSpec;
  readonly #clock: Clock;
  readonly #workerUrl: URL | undefined;
  readonly #onTrouble: (message: string) => void;
  #thread: EngineThread | null = null;
  #isLoaded = false;
  #memory = NOTHING;
  #nextId = 1;
  #current: LocalCall | null = null;
  #waiting: LocalCall[] = [];
  #stopTimer: Timer | null = null;
  #crashes = 0;
  /** In a row. */
  #failures = 0;
  #failed: ThreadError | null = null;
  #restartAt: Instant = -Infinity;
  /** A thread that has to be gone before the next is started: two of a model would be twice its memory. */
  #before: Promise<void> | null = null;
  /** It takes what has come, and is not loaded for more. */
  #isClosing = false;
  #isClosed = false;
  #whenIdle: (() => void) | null = null;

  /** `after`: nothing is started before it. */
  constructor(spec: EngineSpec, clock: Clock, onTrouble: (message: string) => void, after: Promise<void> | null = null, workerUrl?: URL) {
    this.spec = spec;
    this.#clock = clock;
    this.#onTrouble = onTrouble;
    this.#workerUrl = workerUrl;
    if (after !== null) this.#startAfter(after);
  }

  status(): EngineStatus {
    const { name } = this.spec;
    const state = this.#thread === null ? (this.#failed === null ? 'idle' : 'failed') : this.#isLoaded ? 'ready' : 'loading';
    return { name, state, memory: this.#memory, crashes: this.#crashes, error: this.#failed === null ? null : inWords(this.#failed) };
  }

  /** Loads now what the first call would load. */
  warm(): void {
    if (this.#before !== null) void this.#before.then(() => this.warm());
    else if (this.#thread === null && !this.#isClosing) this.#start();
  }

  send(path: string, body: Uint8Array | null, listener: UpstreamListener): UpstreamCall {
    const call = new LocalCall(this.#nextId++, path, body, listener, (one) => this.#abort(one));
    // It waits from now on, so that nobody takes the engine for idle.
    this.#waiting.push(call);
    queueMicrotask(() => {
      if (!call.isOver) listener.onSent();
      this.#pump();
    });
    return call;
  }

  /** Lets what runs end, then lets go of everything. */
  async retire(): Promise<void> {
    this.#isClosing = true;
    if (this.#current !== null || this.#waiting.length > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.close();
  }

  /** Lets go of everything at once. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const call of this.#waiting.splice(0)) call.break('the engine was closed');
    this.#isClosed = true;
    const thread = this.#thread;
    if (thread !== null) {
      this.#current?.break('the engine was closed');
      thread.stop(this.#nextId);
      thread.work();
      thread.post({ kind: 'close' });
    }
    const gone = thread === null ? this.#before : thread.gone;
    if (gone === null) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.schedule(CLOSE_WAIT_MS, () => {
        thread?.end();
        resolve();
      });
      void gone.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #pump(): void {
    if (this.#current !== null || this.#isClosed) return;
    if (this.#waiting.length === 0) return this.#whenIdle?.();
    if (this.#before !== null) return;
    if (this.#thread === null && !this.#tryStart()) return;
    const call = this.#waiting.shift()!;
    this.#current = call;
    this.#thread!.work();
    this.#thread!.post({ kind: 'call', id: call.id, path: call.path, body: call.takeBody(), epochMs: this.#clock.epochMs() });
  }

  /** False: its time has not come yet, and whoever waits was told so. */
  #tryStart(): boolean {
    const waitMs = this.#restartAt - this.#clock.now();
    if (waitMs <= 0) {
      this.#start();
      return true;
    }
    for (const call of this.#waiting.splice(0)) call.fail(this.#failed!, Math.ceil(waitMs));
    this.#whenIdle?.();
    return false;
  }

  #start(): void {
    this.#isLoaded = false;
    const thread = new EngineThread(
      this.spec,
      {
        // What a discarded thread still has to say concerns nobody.
        onMessage: (message) => void (this.#thread === thread && this.#take(message)),
        onExit: (reason) => this.#exited(thread, reason),
      },
      this.#workerUrl,
    );
    this.#thread = thread;
    thread.post({ kind: 'load' });
  }

  #take(message: FromThread): void {
    switch (message.kind) {
      case 'loaded':
        this.#isLoaded = true;
        this.#memory = message.memory;
        return;
      case 'unloadable':
        return this.#unloadable(message.error);
      case 'head':
        return this.#callOf(message.id)?.head(message.status, message.contentType);
      case 'data':
        return this.#callOf(message.id)?.data(message.bytes);
      case 'broken':
        return this.#callOf(message.id)?.break(message.message);
      case 'end':
        return this.#ended(message.id, message.memory);
    }
  }

  #callOf(id: number): LocalCall | null {
    return this.#current?.id === id ? this.#current : null;
  }

  #ended(id: number, memory: ThreadMemory): void {
    const call = this.#callOf(id);
    this.#memory = memory;
    this.#failures = 0;
    this.#failed = null;
    if (call === null) return;
    this.#release();
    call.end();
    this.#pump();
  }

  #release(): void {
    this.#current = null;
    this.#stopTimer?.cancel();
    this.#stopTimer = null;
    this.#thread?.rest();
  }

  #unloadable(error: ThreadError): void {
    this.#failWith(error, 1);
    const calls = [...(this.#current === null ? [] : [this.#current]), ...this.#waiting.splice(0)];
    this.#discard(this.#thread!);
    for (const call of calls) call.fail(error, null);
    this.#whenIdle?.();
  }

  /** Nothing more is heard of it; the next one starts when it is gone. */
  #discard(thread: EngineThread): void {
    this.#thread = null;
    this.#memory = NOTHING;
    this.#release();
    thread.end();
    this.#startAfter(thread.gone);
  }

  #startAfter(gone: Promise<void>): void {
    this.#before = gone.then(() => {
      this.#before = null;
      this.#pump();
    });
  }

  #exited(thread: EngineThread, reason: string): void {
    if (this.#thread !== thread) return;
    const call = this.#current;
    this.#thread = null;
    this.#memory = NOTHING;
    this.#release();
    if (this.#isClosed) return;
    const error = { status: 500, code: 'engine_crashed', message: `${this.spec.name} crashed: ${reason}`, detail: null };
    this.#failWith(error, 0);
    call?.fail(error, null);
    this.#pump();
  }

  /** `pausesFrom`: 1: the first failure makes it pause already; 0: the second one in a row. */
  #failWith(error: ThreadError, pausesFrom: 0 | 1): void {
    this.#crashes++;
    this.#failures++;
    this.#failed = error;
    this.#onTrouble(inWords(error));
    const doublings = this.#failures - 2 + pausesFrom;
    if (doublings >= 0) this.#restartAt = this.#clock.now() + Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** doublings);
  }

  #abort(call: LocalCall): void {
    const thread = this.#thread;
    if (this.#current === call && thread !== null) {
      thread.stop(call.id);
      this.#stopTimer = this.#clock.schedule(STOP_WAIT_MS, () => {
        this.#discard(thread);
        this.#pump();
      });
      return;
    }
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#pump();
  }
}

function inWords({ message, detail }: ThreadError): string {
  return detail === null ? message : `${message}: ${detail}`;
}
