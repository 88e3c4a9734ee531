/**
 * Converts requests to the target's dialect if it differs from the caller's, and responses back. Not used between equal dialects.
 */
import type { Clock, Instant } from '../core/clock.ts';
import { mayBeEmpty } from '../core/finish-reason.ts';
import { asBuffer } from './bytes.ts';
import { CODECS } from './codecs.ts';
import type { TargetCapabilities } from './conversion-loss.ts';
import { ConvertedStreamReader, convertResponse, emptyConversion, tooLarge, unnamedCall } from './converted-response.ts';
import type { Dialect, ReadResponse, StreamReader } from './dialect.ts';
import { failedFinishFailure } from './failure.ts';
import { framed } from './framing/framed-reader.ts';
import { scanObject } from './json-scan.ts';
import type { Fields } from './loose-values.ts';
import type { DialectName, ModelTool, WriteOptions } from './model.ts';
import type { RequestBody } from './request-body.ts';
import { isConvertible } from './parse-limits.ts';

/** The dialects of a target, and what its model supports. */
export interface TargetWire {
  /** Requests in other dialects are converted to this one. */
  readonly dialect: Dialect;
  /** A second dialect that needs no conversion. `found.lacksOther`: the target turned out not to support it. */
  readonly other: Dialect | null;
  /** False: `other` is documented to be supported. */
  readonly mayLackOther: boolean;
  readonly can: TargetCapabilities;
  /** Equal for targets that get the same conversion of a request. */
  readonly key: string;
}

/** In milliseconds; then an unsupported dialect is tried again, since the server may have been upgraded. */
const LACKING_MS = 60 * 60 * 1000;

/** What a provider's model was found not to support; shared by all its credentials. */
export class DetectedSupport {
  readonly #clock: Pick<Clock, 'now'>;
  #lackingUntil: Instant = -Infinity;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  get lacksOther(): boolean {
    return this.#lackingUntil !== -Infinity && this.#clock.now() < this.#lackingUntil;
  }

  markUnsupported(): void {
    this.#lackingUntil = this.#clock.now() + LACKING_MS;
  }

  reset(): void {
    this.#lackingUntil = -Infinity;
  }
}

export function speaks(dialect: Dialect, { wire, found }: { readonly wire: TargetWire; readonly found: DetectedSupport }): boolean {
  return wire.dialect === dialect || (wire.other === dialect && !found.lacksOther);
}

export type ConvertedRequest =
  | {
      readonly ok: true;
      /** In the target's dialect, with a placeholder model name that is replaced for each target. */
      readonly body: RequestBody;
      /** Fields that the target's dialect does not have. */
      readonly dropped: readonly string[];
      readonly tools: readonly ModelTool[];
      /** Request fields that the response echoes. */
      readonly echo: Fields;
    }
  /** Without this field the response would be a different one. */
  | { readonly ok: false; readonly field: string; readonly message: string };

/** Converts a decoded chat request for a target. */
export type RequestConverter = (from: Dialect, body: RequestBody, stream: boolean, target: TargetWire) => ConvertedRequest;

const conversions = new WeakMap<RequestBody, Map<string, ConvertedRequest>>();

/** Cached by request and key. */
export const convertRequest: RequestConverter = (from, body, stream, target) => {
  let converted = conversions.get(body)?.get(target.key);
  if (converted === undefined) cacheConversion(body, target.key, (converted = convert(from, body, stream, target)));
  return converted;
};

/** True if `convertRequest` would return a cached conversion. */
export function isConversionCached(body: RequestBody, key: string): boolean {
  return conversions.get(body)?.has(key) === true;
}

/** Caches a conversion of this body that was made elsewhere. */
export function cacheConversion(body: RequestBody, key: string, converted: ConvertedRequest): void {
  let byKey = conversions.get(body);
  if (byKey === undefined) conversions.set(body, (byKey = new Map()));
  byKey.set(key, converted);
}

const convert: RequestConverter = (from, body, stream, { dialect, can }) => convertBytes(from.name, body.bytes, stream, dialect, can);

/** Converts the bytes of a decoded request. */
export function convertBytes(
  from: DialectName,
  bytes: Uint8Array,
  stream: boolean,
  to: Dialect,
  can: TargetCapabilities,
): ConvertedRequest {
  const codec = CODECS[from];
  const text = asBuffer(bytes).toString();
  const request = codec.parseRequest(text, stream);
  const encoded = CODECS[to.name].writeRequest(request, { model: '-', askUsage: false, apply: (fields) => fields }, can);
  if (!encoded.ok) return encoded;
  const decoded = to.request.decode('chat', encoded.body, scanObject(encoded.body), { model: '-', stream });
  if (!decoded.ok) return { ok: false, field: decoded.param ?? '', message: decoded.message };
  return { ok: true, body: decoded.body, dropped: encoded.dropped, tools: request.tools, echo: codec.echo?.(text) ?? {} };
}

/** Converts the responses to one converted request. */
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

  /** Reads a complete response of the target and converts it to the caller's dialect. */
  read(body: Uint8Array, choices: number): ReadResponse {
    const read = this.#from.response.read('chat', body, choices, null);
    if (!read.ok) {
      const { kind, code, body: emptyBody } = read.failure;
      if (kind !== 'empty' || emptyBody === null) return read;
      // With a code it is a failed generation, which other dialects have no finish reason for.
      if (code !== null) return { ...read, failure: { ...read.failure, body: null } };
      return { ...read, converted: this.#convert(emptyBody).body };
    }
    const { failedFinish } = read.facts;
    if (failedFinish !== undefined) return { ok: false, failure: failedFinishFailure(failedFinish, 'answer'), usage: read.facts.usage };
    if (!isConvertible(body)) return { ok: false, failure: tooLarge('answer'), usage: read.facts.usage };
    const converted = this.#convert(read.converted ?? body);
    const { finishReason, usage } = read.facts;
    if (converted.hasUnnamedCall) return { ok: false, failure: unnamedCall('answer'), usage };
    if (read.facts.hasContent && !converted.hasContent && !mayBeEmpty(finishReason, usage)) {
      return { ok: false, failure: emptyConversion('answer'), usage };
    }
    return { ...read, facts: { ...read.facts, hasContent: read.facts.hasContent && converted.hasContent }, converted: converted.body };
  }

  #convert(body: Uint8Array): ReturnType<typeof convertResponse> {
    return convertResponse(body, this.#from.name, this.#to.name, this.#options);
  }
}
