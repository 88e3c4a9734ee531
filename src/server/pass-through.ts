/** Requests that are forwarded as bytes: audio, images, moderations, rerank, and the paths in `server.passThrough`. */
import type { Dialect } from '../wire/dialect.ts';
import { DIALECTS, dialectOf } from '../wire/dialects.ts';
import { BreakwaterError } from '../core/errors.ts';
import type { RequestFacts } from '../core/request.ts';
import type { PassThroughConfig } from '../gateway/config/index.ts';
import { namesModel } from '../wire/model-names.ts';
import { isMultipart } from '../wire/multipart.ts';
import { PassthroughScan, type PassthroughResult } from '../wire/passthrough-body.ts';
import type { PassthroughBody, RequestBody } from '../wire/request-body.ts';
import { JOINED_BYTES_MAX } from './body-reader.ts';
import type { Call } from './call.ts';
import { requireModel, requireModels, submit, withBody, type Arrival } from './inference.ts';
import { encodePath } from './path.ts';

/** Forwards the request to the target of the model in its JSON or multipart body. */
export function passBytes(call: Call): Promise<void> {
  refuseModelInQuery(call);
  return withBody(call, (bytes, arrival) => submitBytes(call, DIALECTS['openai-chat'], bytes, arrival));
}

/** The same for a received body. `decoded`: the conversation in it, for routing by its opaque items; null: none. */
export async function submitBytes(
  call: Call,
  dialect: Dialect,
  bytes: Uint8Array,
  arrival: Arrival,
  decoded: RequestBody | null = null,
): Promise<void> {
  const contentType = call.exchange.header('content-type') ?? null;
  const read = await readBody(call, contentType, bytes);
  const { passed, others } = accept(read);
  if (passed.model === null) {
    throw new BreakwaterError(
      'invalid_request',
      'the body has no model, which determines the target: add a name of GET /v1/models, or PROVIDER/MODEL',
      { param: 'model' },
    );
  }
  const { name } = passed.model;
  requireModel(call, name);
  if (call.client!.isLimited) requireModels(call, others());
  // A body that was parsed as JSON is sent as JSON, since a form parser would find other fields in it.
  const body = bodyOf(bytes, passed, isMultipart(contentType) || isJson(contentType) ? contentType : null);
  const opened = decoded === null ? body : { ...body, members: decoded.members, opaque: decoded.opaque === true };
  return submit(call, { dialect, facts: factsOf(name, bytes), body: opened, path: upstreamPath(call), ...arrival });
}

/** Reads a JSON body that is forwarded to the model in the path. `checked`: members whose models the caller checks. */
export async function readPassedJson(
  call: Call,
  dialect: Dialect,
  model: string,
  bytes: Uint8Array,
  checked: ReadonlySet<string>,
): Promise<Passed> {
  const { passed, others } = accept(await readBody(call, 'application/json', bytes));
  if (call.client!.isLimited) requireModels(call, others(checked));
  return { dialect, facts: factsOf(model, bytes), body: bodyOf(bytes, passed, 'application/json') };
}

interface Passed {
  readonly dialect: Dialect;
  readonly facts: RequestFacts;
  readonly body: RequestBody;
}

/** Forwards the request to the configured provider of its path. */
export function passListed(call: Call, entry: PassThroughConfig): Promise<void> {
  if (entry.clients !== null && !entry.clients.includes(call.client!.name)) {
    throw new BreakwaterError('model_not_allowed', 'this API key may not use this path');
  }
  const { isLimited } = call.client!;
  if (isLimited) refuseModelInQuery(call);
  return withBody(call, async (bytes, arrival) => {
    const contentType = call.exchange.header('content-type') ?? null;
    const read = bytes.length === 0 ? NOTHING : await readBody(call, contentType, bytes);
    // Any body is allowed on the path; from a client with a model list only one that can be checked against the list.
    const { passed, others } = read.ok || isLimited ? accept(read) : NOTHING;
    const model = passed.model?.name ?? null;
    if (isLimited) {
      if (model !== null && !call.client!.mayUse(`${entry.provider}/${model}`)) requireModel(call, model);
      requireModels(call, others());
    }
    // Without a model the body is forwarded unchanged.
    const target = `${entry.provider}/${model ?? ''}`;
    const body = bodyOf(bytes, read.ok ? passed : null, contentType);
    const dialect = dialectOf(call.gateway.config.providers[entry.provider]!.protocol);
    return submit(call, { dialect, facts: factsOf(target, bytes), body, path: upstreamPath(call), ...arrival });
  });
}

/** The `server.passThrough` entry for a path; a trailing `/*` matches everything below. */
export function findListed(listed: readonly PassThroughConfig[], path: string, versionedPath: string): PassThroughConfig | null {
  const fits = (entry: PassThroughConfig, given: string): boolean =>
    entry.path.endsWith('/*') ? given.startsWith(entry.path.slice(0, -1)) : given === entry.path;
  return listed.find((entry) => fits(entry, path) || fits(entry, versionedPath)) ?? null;
}

function isJson(contentType: string | null): boolean {
  return contentType !== null && /^\s*application\/(?:[\w.+-]{1,100}\+)?json\s*(?:;|$)/i.test(contentType);
}

type Accepted = Extract<PassthroughResult, { ok: true }>;

const NOTHING: Accepted = { ok: true, passed: { model: null, parts: null }, others: () => ({ names: [], unreadable: null }) };

async function readBody(call: Call, contentType: string | null, bytes: Uint8Array): Promise<PassthroughResult> {
  const scan = new PassthroughScan(contentType, bytes);
  if (bytes.length > JOINED_BYTES_MAX) await call.gateway.slices.run(() => scan.step());
  else while (!scan.step());
  return scan.take();
}

function accept(read: PassthroughResult): Accepted {
  if (read.ok) return read;
  throw new BreakwaterError('invalid_request', read.message, read.param === null ? {} : { param: read.param });
}

/** The query is forwarded, and some providers read a model from it. */
function refuseModelInQuery(call: Call): void {
  const { query } = call.place;
  if (query === '') return;
  for (const name of new URLSearchParams(query).keys()) {
    if (namesModel(name))
      throw new BreakwaterError('invalid_request', 'the model must be in the body, not in the query', { param: name.slice(0, 80) });
  }
}

function bodyOf(bytes: Uint8Array, passed: PassthroughBody | null, contentType: string | null): RequestBody {
  return { bytes, members: [], values: 0, contentType, passed };
}

/** Removes `/v1`, since base URLs include it. */
function upstreamPath(call: Call): string {
  const { path, query } = call.place;
  return encodePath(path.startsWith('/v1/') ? path.slice('/v1'.length) : path) + query;
}

function factsOf(model: string, bytes: Uint8Array): RequestFacts {
  return {
    operation: 'bytes',
    model,
    stream: false,
    wantsUsage: false,
    choices: 1,
    outputBound: null,
    inputTokens: Math.ceil(bytes.length / 4),
    usesReasoning: false,
    hasTools: false,
    hasResponseFormat: false,
    cacheKey: null,
    serviceTier: null,
  };
}
