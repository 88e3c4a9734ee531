/**
 * Carries requests into the dialect of a target that speaks another one than the caller, and responses back. Between equal dialects
 * nothing here is used.
 */
import type { Clock, Instant } from '../core/clock.ts';
import { mayBeEmpty } from '../core/finish-reason.ts';
import { asBuffer } from './bytes.ts';
import { CODECS } from './codecs.ts';
import type { TargetAbilities } from './conversion-loss.ts';
import { ConvertedStreamReader, convertResponse, nothingLeft, tooLarge } from './converted-response.ts';
import type { Dialect, ReadResponse, StreamReader } from './dialect.ts';
import { framed } from './framing/framed-reader.ts';
import { scanObject } from './json-scan.ts';
import type { Fields } from './loose-values.ts';
import type { DialectName, ModelTool, WriteOptions } from './model.ts';
import type { RequestBody } from './request-body.ts';
import { isConvertible } from './whole-bounds.ts';

/** What a target speaks, and what is known of its model. */
export interface TargetWire {
  /** What requests of other dialects are converted to. */
  readonly dialect: Dialect;
  /** Spoken beside it. `found.lacksOther`: the target was found not to have it. */
  readonly other: Dialect | null;
  /** False: `other` is documented to be there. */
  readonly mayLackOther: boolean;
  readonly can: TargetAbilities;
  /** The same for all targets that get the same conversion of a request. */
  readonly key: string;
}

/** A dialect that a server was found not to have is tried again after this, in milliseconds: the server may be upgraded. */
const LACKING_MS = 60 * 60 * 1000;

/** What a provider's model was found not to have; one object for all its credentials. */
export class FoundWire {
  readonly #clock: Pick<Clock, 'now'>;
  #lackingUntil: Instant = -Infinity;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  get lacksOther(): boolean {
    return this.#lackingUntil !== -Infinity && this.#clock.now() < this.#lackingUntil;
  }

  noteLack(): void {
    this.#lackingUntil = this.#clock.now() + LACKING_MS;
  }

  reset(): void {
    this.#lackingUntil = -Infinity;
  }
}

export function speaks(dialect: Dialect, { wire, found }: { readonly wire: TargetWire; readonly found: FoundWire }): boolean {
  return wire.dialect === dialect || (wire.other === dialect && !found.lacksOther);
}

export type ConvertedRequest =
  | {
      readonly ok: true;
      /** In the target's dialect, under a model name that is replaced for each target. */
      readonly body: RequestBody;
      /** Members that the target's dialect has no place for. */
      readonly dropped: readonly string[];
      readonly tools: readonly ModelTool[];
      /** Members of the request that the response repeats. */
      readonly echo: Fields;
    }
  /** Without this field the response would be another one. */
  | { readonly ok: false; readonly field: string; readonly message: string };

/** A chat request, which was decoded before, as this target takes it. */
export type RequestConverter = (from: Dialect, body: RequestBody, stream: boolean, target: TargetWire) => ConvertedRequest;

const known = new WeakMap<RequestBody, Map<string, ConvertedRequest>>();

/** Made once for a request and each key. */
export const convertRequest: RequestConverter = (from, body, stream, target) => {
  let converted = known.get(body)?.get(target.key);
  if (converted === undefined) rememberConversion(body, target.key, (converted = convert(from, body, stream, target)));
  return converted;
};

/** True if `convertRequest` returns a conversion that was made before. */
export function isConversionKnown(body: RequestBody, key: string): boolean {
  return known.get(body)?.has(key) === true;
}

/** A conversion that was made elsewhere, of a request of this body. */
export function rememberConversion(body: RequestBody, key: string, converted: ConvertedRequest): void {
  let made = known.get(body);
  if (made === undefined) known.set(body, (made = new Map()));
  made.set(key, converted);
}

const convert: RequestConverter = (from, body, stream, { dialect, can }) => convertBytes(from.name, body.bytes, stream, dialect, can);

/** Converts the bytes of a request that was decoded before. */
export function convertBytes(from: DialectName, bytes: Uint8Array, stream: boolean, to: Dialect, can: TargetAbilities): ConvertedRequest {
  const codec = CODECS[from];
  const text = asBuffer(bytes).toString();
  const request = codec.parseRequest(text, stream);
  const encoded = CODECS[to.name].writeRequest(request, { model: '-', askUsage: false, apply: (fields) => fields }, can);
  if (!encoded.ok) return encoded;
  const decoded = to.request.decode('chat', encoded.body, scanObject(encoded.body), { model: '-', stream });
  if (!decoded.ok) return { ok: false, field: decoded.param ?? '', message: decoded.message };
  return { ok: true, body: decoded.body, dropped: encoded.dropped, tools: request.tools, echo: codec.echo?.(text) ?? {} };
}

/** The responses to one request that was converted. */
export class ResponseConversion {
  readonly #from: Dialect;
  readonly #to: Dialect;
  readonly #options: WriteOptions;

  /** `from`: the target's dialect, `to`: the caller's. */
  constructor(from: Dialect, to: Dialect, options: WriteOptions) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
  }

  createReader(maxEventSize: number, contentType?: string): StreamReader | null {
    const watcher = this.#from.stream.watch({ operation: 'chat', keepUsage: true, maxEventSize });
    if (watcher === null) return null;
    return framed(contentType, new ConvertedStreamReader(watcher, this.#from.name, this.#to.name, this.#options), maxEventSize);
  }

  /** A whole response of the target's, as one of the caller's dialect. */
  read(body: Uint8Array, choices: number): ReadResponse {
    const read = this.#from.response.read('chat', body, choices, null);
    if (!read.ok) {
      const kept = read.failure.kind === 'empty' ? read.failure.body : null;
      return kept === null ? read : { ...read, converted: this.#convert(kept).body };
    }
    if (!isConvertible(body)) return { ok: false, failure: tooLarge('answer'), usage: read.facts.usage };
    const converted = this.#convert(read.converted ?? body);
    const { finishReason, usage } = read.facts;
    if (read.facts.hasContent && !converted.hasContent && !mayBeEmpty(finishReason, usage)) {
      return { ok: false, failure: nothingLeft('answer'), usage };
    }
    return { ...read, facts: { ...read.facts, hasContent: read.facts.hasContent && converted.hasContent }, converted: converted.body };
  }

  #convert(body: Uint8Array): ReturnType<typeof convertResponse> {
    return convertResponse(body, this.#from.name, this.#to.name, this.#options);
  }
}
