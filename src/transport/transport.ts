/** The seam to the upstream side: one call out, its answer back as it comes. Everything that sends stands on this. */

/** Response headers by lower-case name. */
export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The first of a header's values. */
export function firstValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

export interface UpstreamRequest {
  /** Scheme, host and port: `https://api.openai.com`. */
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  readonly method: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** A large body may come in pieces, which spares a copy of it. */
  readonly body: Uint8Array | readonly Uint8Array[] | null;
  /** Until the connection is open, TLS included, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Signs it when it is sent; null or absent: its headers are all that it needs. */
  readonly signer?: RequestSigner | null;
}

/** What authenticates requests where no fixed headers can: a signature of each, or a token that is renewed. */
export interface CredentialSigner {
  /** Signs one request. */
  begin(): RequestSigner;
}

export interface RequestSigner {
  /** Headers to add to the request, names and values in turn; null: there is nothing to sign with yet. */
  sign(request: UpstreamRequest, epochMs: number): readonly string[] | null;
  /** Calls back once, later: null when there is something to sign with, or why there is not. Gives back what takes the listener away. */
  whenReady(listener: (error: Error | null) => void): () => void;
  /** The request was refused as it was signed. True: there is or will be something newer to sign with. */
  renew(): boolean;
}

/** The body in one piece. */
export function wholeBody({ body }: Pick<UpstreamRequest, 'body'>): Uint8Array | null {
  return body === null || body instanceof Uint8Array ? body : Buffer.concat(body);
}

/** What a call tells, in this order; after `onEnd` or `onError`, or after `abort`, nothing more. */
export interface UpstreamListener {
  /** The connection is open and the request goes out. */
  onSent(): void;
  onHeaders(status: number, headers: ResponseHeaders): void;
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  /** `isStale`: it was sent over a connection that had carried an answer before, and that the provider had probably closed by then. */
  onError(error: Error, isStale?: boolean): void;
}

export interface UpstreamCall {
  /** Closes the upstream connection at once; the listener hears nothing more. */
  abort(): void;
  /** Stops reading; what the socket holds already may still come. */
  pause(): void;
  resume(): void;
}

export interface Transport {
  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall;
  /** Nothing will be sent elsewhere from now on: idle connections to other origins are closed, running calls go on to their end. */
  keepOnly?(origins: ReadonlySet<string>): void;
  /** Closes idle connections and breaks off running calls. */
  close(): Promise<void>;
}
