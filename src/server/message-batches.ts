/** `/v1/messages/batches`: Anthropic's message batches, run by Breakwater on any target. */
import { BreakwaterError } from '../core/errors.ts';
import { messageBatchObject } from '../jobs/anthropic/message-batches.ts';
import { RequestSplitter } from '../jobs/anthropic/request-splitter.ts';
import type { Job } from '../store/jobs/job-store.ts';
import type { Call } from './call.ts';
import { jobPriority, jobsOf, limitWish, sendPieces } from './jobs-call.ts';
import { readSettings } from './request-settings.ts';
import { decodedPieces, StreamedBody } from './streamed-body.ts';

/** Anthropic's limits for a batch and for one request. */
const BATCH_BYTES_MAX = 256 * 1024 * 1024;
const REQUEST_BYTES_MAX = 32 * 1024 * 1024;
/** Headers that apply to each request of the batch. */
const FORWARDED = ['anthropic-version', 'anthropic-beta'];
const LIST = { default: 20, max: 1_000 };

export async function create(call: Call): Promise<void> {
  const { exchange, gateway } = call;
  const settings = readSettings(exchange, gateway.config.policy);
  if (Number(exchange.header('content-length') ?? 0) > BATCH_BYTES_MAX) throw tooLarge();
  const receiving = await jobsOf(call).messageBatches.begin({
    client: call.client!.name,
    priority: jobPriority(call, settings),
    windowMs: settings.isDeadlineAsked ? settings.deadlineMs : undefined,
    forwardHeaders: FORWARDED.flatMap((name) => {
      const value = exchange.header(name);
      return value === undefined ? [] : [name, value];
    }),
    query: call.place.query,
    idempotencyKey: settings.idempotencyKey,
  });
  const body = new StreamedBody(call);
  try {
    const splitter = new RequestSplitter(REQUEST_BYTES_MAX);
    let bytes = 0;
    for await (const piece of decodedPieces(call, body)) {
      bytes += piece.byteLength;
      if (bytes > BATCH_BYTES_MAX) throw tooLarge();
      for (const found of splitter.read(piece)) {
        if ('fault' in found) throw bad(found.fault, found.isTooLarge === true);
        body.holds(found.byteLength);
        await receiving.add(found);
      }
      body.holds(splitter.heldBytes);
    }
    const fault = splitter.end();
    if (fault !== null) throw bad(fault.fault);
    call.sendJson(200, toObject(call, await receiving.finish()));
  } catch (error) {
    await receiving.abandon();
    throw error;
  } finally {
    body.close();
  }
}

export async function show(call: Call): Promise<void> {
  call.sendJson(200, toObject(call, await jobsOf(call).messageBatches.get(call.client!.name, call.place.rest)));
}

export async function list(call: Call): Promise<void> {
  const query = new URLSearchParams(call.place.query);
  const [after, before] = [query.get('after_id') ?? '', query.get('before_id') ?? ''];
  if (after !== '' && before !== '') throw bad('before_id and after_id are mutually exclusive');
  const { entries, hasMore } = await jobsOf(call).messageBatches.list({
    client: call.client!.name,
    limit: limitWish(query, LIST),
    ...(after !== '' && { after }),
    ...(before !== '' && { before }),
  });
  const data = entries.map((job) => toObject(call, job));
  call.sendJson(200, { data, has_more: hasMore, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null });
}

export async function cancel(call: Call): Promise<void> {
  call.sendJson(200, toObject(call, await jobsOf(call).messageBatches.cancel(call.client!.name, call.place.rest)));
}

export async function remove(call: Call): Promise<void> {
  const id = call.place.rest;
  await jobsOf(call).messageBatches.delete(call.client!.name, id);
  call.sendJson(200, { id, type: 'message_batch_deleted' });
}

export async function showResults(call: Call): Promise<void> {
  const lines = await jobsOf(call).messageBatches.results(call.client!.name, call.place.rest);
  await sendPieces(call, ['content-type', 'application/x-jsonl'], lines, null);
}

function toObject(call: Call, job: Job) {
  return messageBatchObject(job, `${originOf(call)}/v1/messages/batches/${job.id}/results`);
}

/** The origin that the caller used, by its headers; empty: unknown, so that the URL is relative. */
function originOf({ exchange }: Call): string {
  const host = exchange.header('x-forwarded-host') ?? exchange.header('host') ?? '';
  if (!/^[a-z0-9.:[\]-]{1,255}$/i.test(host)) return '';
  return `${exchange.header('x-forwarded-proto') === 'https' ? 'https' : 'http'}://${host}`;
}

function tooLarge(): BreakwaterError {
  return new BreakwaterError('request_too_large', `a message batch must not be larger than ${BATCH_BYTES_MAX / 1024 / 1024} MB`);
}

function bad(message: string, isTooLarge = false): BreakwaterError {
  return new BreakwaterError(isTooLarge ? 'request_too_large' : 'invalid_request', message);
}
