/** A small OTLP/HTTP receiver of JSON, for tests. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Value = string | number | boolean | readonly Value[];

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly statusCode: number;
  readonly statusMessage: string | undefined;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, Value>> }[];
  readonly resource: Readonly<Record<string, Value>>;
}

export interface ReceivedMetric {
  readonly name: string;
  readonly kind: 'sum' | 'gauge' | 'histogram';
  readonly points: readonly {
    readonly attributes: Readonly<Record<string, Value>>;
    readonly value?: number;
    readonly count?: number;
    readonly sum?: number;
    readonly bucketCounts?: readonly number[];
  }[];
}

export interface OtlpReceiver {
  readonly url: string;
  readonly spans: ReceivedSpan[];
  readonly metrics: ReceivedMetric[];
  readonly requests: { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  /** The status of further responses; null: none is sent. Default 200. */
  status: number | null;
  /** The body of further responses. Default: `{}`. */
  body: object;
  close(): Promise<void>;
}

export async function startReceiver(): Promise<OtlpReceiver> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = request.url ?? '';
      receiver.requests.push({ path, headers: request.headers });
      if (receiver.status === null) return;
      if (receiver.status === 200) {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as Export;
        if (path.endsWith('/v1/traces')) receiver.spans.push(...spansIn(body));
        else receiver.metrics.push(...metricsIn(body));
      }
      response.writeHead(receiver.status, { 'content-type': 'application/json' }).end(JSON.stringify(receiver.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [] as ReceivedSpan[],
    metrics: [] as ReceivedMetric[],
    requests: [] as OtlpReceiver['requests'],
    status: 200 as number | null,
    body: {},
    close() {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return receiver;
}

interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}
interface AnyValue {
  readonly stringValue?: string;
  readonly intValue?: number;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values: readonly AnyValue[] };
}
interface Point {
  readonly attributes: readonly KeyValue[];
  readonly asDouble?: number;
  readonly count?: number;
  readonly sum?: number;
  readonly bucketCounts?: readonly number[];
}
interface Export {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly kind: number;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly status: { readonly code?: number; readonly message?: string };
        readonly attributes: readonly KeyValue[];
        readonly events?: readonly { readonly name: string; readonly attributes: readonly KeyValue[] }[];
      }[];
    }[];
  }[];
  readonly resourceMetrics?: readonly {
    readonly scopeMetrics: readonly {
      readonly metrics: readonly ({ readonly name: string } & Partial<
        Record<'sum' | 'gauge' | 'histogram', { dataPoints: readonly Point[] }>
      >)[];
    }[];
  }[];
}

function spansIn({ resourceSpans = [] }: Export): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ startTimeUnixNano, endTimeUnixNano, status, attributes, events = [], parentSpanId, ...span }) => ({
        ...span,
        parentSpanId,
        startMs: Number(BigInt(startTimeUnixNano) / 1_000n) / 1_000,
        endMs: Number(BigInt(endTimeUnixNano) / 1_000n) / 1_000,
        statusCode: status.code ?? 0,
        statusMessage: status.message,
        attributes: recordOf(attributes),
        events: events.map((event) => ({ name: event.name, attributes: recordOf(event.attributes) })),
        resource: recordOf(resource.attributes),
      })),
    ),
  );
}

function metricsIn({ resourceMetrics = [] }: Export): ReceivedMetric[] {
  return resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.map((metric) => {
        const kind = metric.sum !== undefined ? 'sum' : metric.gauge !== undefined ? 'gauge' : 'histogram';
        const points = metric[kind]!.dataPoints.map(({ attributes, asDouble, count, sum, bucketCounts }) => ({
          attributes: recordOf(attributes),
          ...(asDouble !== undefined && { value: asDouble }),
          ...(count !== undefined && { count }),
          ...(sum !== undefined && { sum }),
          ...(bucketCounts !== undefined && { bucketCounts }),
        }));
        return { name: metric.name, kind, points };
      }),
    ),
  );
}

function recordOf(attributes: readonly KeyValue[]): Record<string, Value> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf(value: AnyValue): Value {
  return value.stringValue ?? value.intValue ?? value.doubleValue ?? value.boolValue ?? value.arrayValue?.values.map(valueOf) ?? '';
}
