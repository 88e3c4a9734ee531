/** The interface to upstreams: one request, its response as it arrives. All transports implement it. */
import type { HeaderPairs, HeadersByName } from '../core/headers.ts';

export interface UpstreamRequest {
  /** Scheme, host and port: `https://api.openai.com`. */
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<HeaderPairs>;
  /** A large body may be given in chunks, which avoids a copy. */
  readonly body: Uint8Array | readonly Uint8Array[] | null;
  /** Until the connection is open, TLS included, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Signs the request when it is sent; null or absent: no signature. */
  readonly signer?: RequestSigner | null;
}

/** Authenticates requests with a signature, or a token that is renewed, instead of fixed headers. */
export interface CredentialSigner {
  /** Returns the signer of one request. */
  begin(): RequestSigner;
}

export interface RequestSigner {
  /** Headers to add to the request, as alternating names and values; null: no credentials yet. */
  sign(request: UpstreamRequest, epochMs: number): readonly string[] | null;
  /** Calls back once, asynchronously: null when credentials are available, or the error. Returns a function that removes the listener. */
  whenReady(listener: (error: Error | null) => void): () => void;
  /** The request was rejected with its signature. True: newer credentials are available or being loaded. */
  renew(): boolean;
}

/** The body as one chunk. */
export function wholeBody({ body }: Pick<UpstreamRequest, 'body'>): Uint8Array | null {
  return body === null || body instanceof Uint8Array ? body : Buffer.concat(body);
}

/** The callbacks of a call, in this order; none follows `onEnd`, `onError` or `abort`. */
export interface UpstreamListener {
  /** The connection is open and the request is being sent. */
  onSent(): void;
  onHeaders(status: number, headers: HeadersByName): void;
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  /** `isStale`: the request was sent on a reused connection that the provider had probably closed before. */
  onError(error: Error, isStale?: boolean): void;
}

export interface UpstreamCall {
  /** Closes the upstream connection at once; no callback follows. */
  abort(): void;
  /** Stops reading; bytes that were read already may still be delivered. */
  pause(): void;
  resume(): void;
}

export interface Transport {
  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall;
  /** Closes idle connections to all other origins; running calls are completed. */
  keepOnly?(origins: ReadonlySet<string>): void;
  /** Closes idle connections and aborts running calls. */
  close(): Promise<void>;
}
