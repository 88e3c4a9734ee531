/** Signs requests when they are sent. A request without credentials yet waits for them, at most as long as for a connection. */
import type { Clock, Timer } from '../core/clock.ts';
import { CredentialError } from './credential-error.ts';
import type { RequestSigner, Transport, UpstreamCall, UpstreamListener, UpstreamRequest } from './transport.ts';

/** The share of the connect timeout to wait for credentials; the rest is for the connection, and so that the cause is reported, not a timeout. */
const WAITING_SHARE = 0.9;

export class SigningTransport implements Transport {
  readonly #inner: Transport;
  readonly #clock: Clock;

  constructor(inner: Transport, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall {
    const signer = request.signer ?? null;
    if (signer === null) return this.#inner.send(request, listener);
    const signed = this.#sign(request, signer);
    if (signed !== null) return this.#inner.send(signed, listener);
    return new WaitingCall(request, signer, listener, this.#clock, () => {
      const late = this.#sign(request, signer);
      return late === null ? null : this.#inner.send(late, listener);
    });
  }

  #sign(request: UpstreamRequest, signer: RequestSigner): UpstreamRequest | null {
    const added = signer.sign(request, this.#clock.epochMs());
    return added === null ? null : { ...request, headers: [...request.headers, ...added] };
  }

  keepOnly(origins: ReadonlySet<string>): void {
    this.#inner.keepOnly?.(origins);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

class WaitingCall implements UpstreamCall {
  readonly #listener: UpstreamListener;
  readonly #signer: RequestSigner;
  readonly #send: () => UpstreamCall | null;
  readonly #timer: Timer;
  #forget: () => void;
  #call: UpstreamCall | null = null;
  #isOver = false;
  #isPaused = false;

  constructor(request: UpstreamRequest, signer: RequestSigner, listener: UpstreamListener, clock: Clock, send: () => UpstreamCall | null) {
    this.#listener = listener;
    this.#signer = signer;
    this.#send = send;
    const limitMs = request.connectTimeoutMs * WAITING_SHARE;
    this.#timer = clock.schedule(limitMs, () => this.#fail(new CredentialError(`no credentials within ${Math.round(limitMs)} ms`)));
    this.#forget = this.#wait();
  }

  #wait(): () => void {
    return this.#signer.whenReady((error) => (error === null ? this.#begin() : this.#fail(error)));
  }

  /** Sends the request; waits again if the credentials are not available yet after the body was hashed. */
  #begin(): void {
    if (this.#isOver) return;
    this.#call = this.#send();
    if (this.#call === null) {
      this.#forget = this.#wait();
      return;
    }
    this.#end();
    if (this.#isPaused) this.#call.pause();
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#end();
    this.#listener.onError(error);
  }

  #end(): void {
    this.#isOver = true;
    this.#timer.cancel();
    this.#forget();
  }

  abort(): void {
    if (!this.#isOver) this.#end();
    this.#call?.abort();
  }

  pause(): void {
    this.#isPaused = true;
    this.#call?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#call?.resume();
  }
}
