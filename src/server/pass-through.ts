/** Requests that are passed on as bytes: audio, images, moderations, rerank, and the paths listed in `server.passThrough`. */
import { BreakwaterError } from '../core/errors.ts';
import type { RequestFacts } from '../core/request.ts';
import type { PassThroughConfig } from '../gateway/config/index.ts';
import { findModel } from '../wire/multipart-model.ts';
import type { Call } from './call.ts';
import { requireModel, submit, withBody } from './inference.ts';
import { encodePath } from './path.ts';

/** Passes the request on to the target of the model that its JSON or multipart body names. */
export function passBytes(call: Call): Promise<void> {
  return withBody(call, (bytes, arrival) => {
    const contentType = call.exchange.header('content-type') ?? null;
    const model = findModel(contentType, bytes);
    if (model === null) {
      throw new BreakwaterError('invalid_request', 'the body names no model: it says which target this goes to', { param: 'model' });
    }
    requireModel(call, model);
    return submit(call, { facts: factsOf(model, bytes), body: { bytes, members: [], contentType }, path: upstreamPath(call), ...arrival });
  });
}

/** Passes the request on to the provider that the config names for its path. */
export function passListed(call: Call, entry: PassThroughConfig): Promise<void> {
  if (entry.clients !== null && !entry.clients.includes(call.client!.name)) {
    throw new BreakwaterError('model_not_allowed', 'this API key may not use this path');
  }
  return withBody(call, (bytes, arrival) => {
    const contentType = call.exchange.header('content-type') ?? null;
    const model = bytes.length === 0 ? null : findModel(contentType, bytes);
    // An empty model: the provider's own business, and the body is left as it is.
    const target = `${entry.provider}/${model ?? ''}`;
    return submit(call, { facts: factsOf(target, bytes), body: { bytes, members: [], contentType }, path: upstreamPath(call), ...arrival });
  });
}

/** The listed path that a request is for; a `/*` at its end takes everything below it. */
export function findListed(listed: readonly PassThroughConfig[], path: string, versionedPath: string): PassThroughConfig | null {
  const fits = (entry: PassThroughConfig, given: string): boolean =>
    entry.path.endsWith('/*') ? given.startsWith(entry.path.slice(0, -1)) : given === entry.path;
  return listed.find((entry) => fits(entry, path) || fits(entry, versionedPath)) ?? null;
}

/** Base URLs end with `/v1` where their protocol has it, so that it is taken off here. */
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
    thinks: false,
    hasTools: false,
    namesFormat: false,
    cacheKey: null,
    serviceTier: null,
  };
}
