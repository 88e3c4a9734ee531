/** Background responses: `background: true` on `/v1/responses`, polling, cancellation, and resumable streams. */
import { BreakwaterError } from '../core/errors.ts';
import { isRecord } from '../core/json.ts';
import { WINDOW_RULE, windowMs } from '../jobs/window.ts';
import { DIALECTS, responseEcho } from '../wire/dialects.ts';
import { parseMember, readBoolean } from '../wire/json-values.ts';
import type { BodyMember } from '../wire/request-body.ts';
import type { Call } from './call.ts';
import type { Arrival, SoundRequest } from './inference.ts';
import { isDrained, jobPriority, jobsOf } from './jobs-call.ts';
import { joinBody } from './large-body.ts';

const dialect = DIALECTS['openai-responses'];
/** Members that are not sent to providers. */
const OWN_MEMBERS = ['background', 'background_options'];
const STREAM_HEADERS = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-store', 'x-accel-buffering', 'no'];
/** The most JSON of the request that is echoed in the response object, in UTF-16 units; longer members are omitted. */
const ECHO_LENGTH_MAX = 16 * 1024;
const FORWARDED = 'openai-beta';

export async function create(call: Call, { facts, body }: SoundRequest, { settings }: Arrival): Promise<void> {
  const { bytes, members } = body;
  const member = (name: string): BodyMember | undefined => members.findLast((one) => one.name === name);
  const store = member('store');
  if (store !== undefined && readBoolean(bytes, store) === false)
    throw new BreakwaterError('invalid_request', 'background: true requires store: true, since the response is fetched later', {
      param: 'store',
    });
  const options = member('background_options');
  const parsedOptions = options === undefined ? null : parseMember(bytes, options);
  const deadlineMs = settings.isDeadlineAsked ? settings.deadlineMs : call.gateway.config.policy.maxDeadline;
  const edited = dialect.request.edit(body, { model: facts.model, drop: OWN_MEMBERS });
  const beta = call.exchange.header(FORWARDED);
  const { responses } = jobsOf(call);
  const job = await responses.create({
    client: call.client!.name,
    priority: jobPriority(call, settings),
    windowMs: windowOf(parsedOptions) ?? deadlineMs,
    stream: facts.stream,
    model: facts.model,
    echo: responseEcho(body, ECHO_LENGTH_MAX),
    body: await joinBody(edited, call.gateway.slices),
    forwardHeaders: beta === undefined ? [] : [FORWARDED, beta],
    settings: { fallback: settings.fallback, cache: settings.cache },
    idempotencyKey: settings.idempotencyKey,
  });
  return facts.stream ? sendStream(call, job.id, -1) : call.sendJson(200, responses.object(job));
}

export async function show(call: Call): Promise<void> {
  const id = call.place.rest;
  const query = new URLSearchParams(call.place.query);
  if (query.get('stream') !== 'true') return call.sendJson(200, await jobsOf(call).responses.get(call.client!.name, id));
  const text = query.get('starting_after') ?? '-1';
  if (!/^-1$|^\d{1,9}$/.test(text)) {
    const got = JSON.stringify(text.slice(0, 40));
    throw new BreakwaterError('invalid_request', `starting_after must be the sequence_number of an event (got ${got})`, {
      param: 'starting_after',
    });
  }
  return sendStream(call, id, Number(text));
}

export async function cancel(call: Call): Promise<void> {
  call.sendJson(200, await jobsOf(call).responses.cancel(call.client!.name, call.place.rest));
}

export function remove(call: Call): Promise<void> {
  return jobsOf(call).responses.delete(call.client!.name, call.place.rest);
}

/** Streams the events; the response continues if its reader disconnects. */
async function sendStream(call: Call, id: string, after: number): Promise<void> {
  const { exchange, gateway } = call;
  const events = await jobsOf(call).responses.stream(call.client!.name, id, after);
  const keepAliveMs = gateway.config.policy.stream.keepAlive;
  call.beginStream(200, [...STREAM_HEADERS]);
  if (exchange.method === 'HEAD') return exchange.end();
  let movedAt = call.now();
  for await (const text of events) {
    if (exchange.hasLeft) return;
    if (text === null && call.now() - movedAt < keepAliveMs) continue;
    movedAt = call.now();
    const bytes = text === null ? dialect.stream.keepAlive : gateway.secrets.bytes(Buffer.from(text));
    if (!exchange.write(bytes) && !(await isDrained(call))) return exchange.abort();
  }
  exchange.end();
}

function windowOf(options: unknown): number | null {
  const window = isRecord(options) ? options['completion_window'] : undefined;
  if (window === undefined || window === null || window === 'soonest') return null;
  const ms = windowMs(window);
  if (ms !== null) return ms;
  const rule = `background_options.completion_window must be "soonest" or ${WINDOW_RULE}`;
  throw new BreakwaterError('invalid_request', rule, { param: 'background_options' });
}
