/** Gemini's paths: `POST /v1beta/models/MODEL:METHOD`. */
import { BreakwaterError } from '../core/errors.ts';
import { BodyModelScan, DIALECTS, NESTED_REQUESTS } from '../wire/dialects.ts';
import type { Call } from './call.ts';
import { decodeAndSubmit, requireDecoded, requireModel, submit, withBody } from './inference.ts';
import { withoutByteOrderMark } from '../wire/decode-request.ts';
import { JOINED_BYTES_MAX } from './body-reader.ts';
import { decodeInSlices, scanBody } from './large-body.ts';
import { inList } from './list-sink.ts';
import { readPassedJson } from './pass-through.ts';

const dialect = DIALECTS.gemini;

export function callGemini(call: Call): Promise<void> {
  const { rest } = call.place;
  const colon = rest.lastIndexOf(':');
  const model = modelName(rest.slice(0, Math.max(0, colon)));
  const method = rest.slice(colon + 1);
  if (colon <= 0 || model === '') throw new BreakwaterError('not_found', `unknown path ${call.place.path}`);
  switch (method) {
    case 'generateContent':
    case 'streamGenerateContent':
      return generate(call, model, method === 'streamGenerateContent');
    case 'countTokens':
      return countTokens(call, model);
    case 'embedContent':
    case 'batchEmbedContents':
      return withBody(call, async (bytes, arrival) => {
        requireModel(call, model);
        return submit(call, { ...(await readPassed(call, model, bytes)), path: `:${method}`, ...arrival });
      });
    default:
      throw new BreakwaterError('not_found', `unknown method ${JSON.stringify(method.slice(0, 80))} of models`);
  }
}

function generate(call: Call, model: string, isStream: boolean): Promise<void> {
  const isEvents = new URLSearchParams(call.place.query).get('alt') === 'sse';
  const isList = isStream && !isEvents;
  const wrap = isList ? inList : undefined;
  const asked = {
    dialect,
    operation: 'chat',
    path: isList ? ':streamGenerateContent' : '',
    pathFacts: { model, stream: isStream && isEvents },
    wrap,
  } as const;
  return withBody(call, (bytes, arrival) => decodeAndSubmit(call, asked, bytes, arrival));
}

/** Counted by a provider that can, else estimated. */
function countTokens(call: Call, model: string): Promise<void> {
  return withBody(call, async (bytes, arrival) => {
    requireModel(call, model);
    if (await call.gateway.countsTokens(model, call.holder, dialect, ':countTokens'))
      return submit(call, { ...(await readPassed(call, model, bytes)), path: ':countTokens', ...arrival });
    const request = await requestToCount(call, bytes);
    const { facts } = requireDecoded(await decodeInSlices(dialect, 'chat', request, call.gateway.slices, { model, stream: false }));
    call.sendJson(200, { totalTokens: facts.inputTokens }, ['x-breakwater-estimated', 'true']);
  });
}

/** The request to be counted: the body, or its member `generateContentRequest`. */
async function requestToCount(call: Call, bytes: Uint8Array): Promise<Uint8Array> {
  const body = withoutByteOrderMark(bytes);
  const scan = await scanBody(body, call.gateway.slices);
  const names = ['generateContentRequest', 'generate_content_request'];
  const member = scan.ok ? scan.members.findLast(({ name }) => names.includes(name)) : undefined;
  return member === undefined ? body : body.subarray(member.start, member.end);
}

/** A body that is forwarded; models in it are replaced with that of each target. */
async function readPassed(call: Call, model: string, bytes: Uint8Array): Promise<Awaited<ReturnType<typeof readPassedJson>>> {
  const read = await readPassedJson(call, dialect, model, bytes, NESTED_REQUESTS);
  const scan = new BodyModelScan(bytes, model);
  if (bytes.length > JOINED_BYTES_MAX) await call.gateway.slices.run(() => scan.step());
  else while (!scan.step());
  const models = scan.take();
  if (models === null) return read;
  if (!models.ok) throw new BreakwaterError('invalid_request', models.message, { param: 'model' });
  return { ...read, body: { ...read.body, passed: { model: null, parts: null, pieces: models.pieces } } };
}

/** `models/NAME` and `NAME` are equivalent. */
function modelName(text: string): string {
  return text.startsWith('models/') ? text.slice('models/'.length) : text;
}
