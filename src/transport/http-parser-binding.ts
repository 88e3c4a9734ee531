/** Node's internal HTTP parser binding. Used by the adapter and its self-test only. */

/** The part of the binding that is used. Its callbacks are numbered properties. */
export interface Binding {
  [callback: number]: unknown;
  initialize(kind: number, resource: object, headBytesMax: number, lenientFlags: number): void;
  /** Undefined: a callback threw. */
  execute(bytes: Uint8Array): number | Error | undefined;
  finish(): Error | undefined;
  consume(handle: object): void;
  unconsume(): void;
  close(): void;
  getCurrentBuffer(): Buffer;
}

export interface BindingClass {
  new (): Binding;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnMessageBegin: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
  readonly kOnExecute: number;
}

/** Strict: none of llhttp's leniencies. */
export const STRICT = 0;

/** `none`: no body follows, whatever the headers say. `stop`: the following bytes are not HTTP. */
export type BodyReading = 'normal' | 'none' | 'stop';

export const readings: Readonly<Record<BodyReading, number>> = { normal: 0, none: 1, stop: 2 };
