import type { ISerializer } from '@opentelemetry/otlp-transformer';
import type { Trace } from '../traces.ts';
import { quoted } from './attribute-text.ts';
import { ByteText } from './byte-text.ts';
import { createSpanWriter, spanCount, type FindProvider } from './span-text.ts';

interface Response {
  readonly partialSuccess?: { readonly rejectedSpans?: number | string; readonly errorMessage?: string };
}

/** The instrumentation scope of all spans. */
export interface Scope {
  readonly name: string;
  readonly version: string;
}

export function countSpans(traces: readonly Trace[]): number {
  return traces.reduce((sum, trace) => sum + spanCount(trace), 0);
}

/**
 * Writes export requests for finished requests. `onPartial`: the collector accepted an export without some of its spans, or with a
 * warning.
 */
export function createSpanSerializer(
  resource: Readonly<Record<string, unknown>>,
  scope: Scope,
  provider: FindProvider,
  onPartial: (rejected: number, message: string) => void,
): ISerializer<readonly Trace[], object> {
  const attributes = Object.entries(resource).map(([key, value]) => `{"key":${quoted(key)},"value":${anyValue(value)}}`);
  const scopeText = `{"name":${quoted(scope.name)},"version":${quoted(scope.version)}}`;
  const head = `{"resourceSpans":[{"resource":{"attributes":[${attributes.join()}]},"scopeSpans":[{"scope":${scopeText},"spans":[`;
  const writeSpans = createSpanWriter(provider);
  const [start, end] = [Buffer.from(head), Buffer.from(']}]}]}')];
  /** Of the last request: about as much as the next one needs. */
  let capacity = 0;
  return {
    serializeRequest(traces) {
      const out = new ByteText(capacity).constant(start);
      let isFirst = true;
      for (const trace of traces) {
        if (trace.received.trace === undefined || trace.finished === null) continue;
        if (!isFirst) out.ascii(',');
        writeSpans(out, trace);
        isFirst = false;
      }
      const { bytes } = out.constant(end);
      capacity = bytes.length;
      return bytes;
    },
    deserializeResponse(body) {
      if (body.length === 0) return {};
      const { partialSuccess: partial } = JSON.parse(Buffer.from(body).toString()) as Response;
      const rejected = Number(partial?.rejectedSpans ?? 0);
      const message = String(partial?.errorMessage ?? '');
      if (rejected > 0 || message !== '') onPartial(Math.max(0, rejected || 0), message);
      return {};
    },
  };
}

/** Of a resource's attribute: text, or a list of texts. */
function anyValue(value: unknown): string {
  if (Array.isArray(value)) return `{"arrayValue":{"values":[${value.map(anyValue).join()}]}}`;
  return `{"stringValue":${quoted(String(value))}}`;
}
