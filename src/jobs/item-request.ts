/** The request of an item, without the parts that depend on when it runs. */
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ItemError, ItemResult, OpenJob } from '../store/jobs/job-store.ts';
import { modelNamesIn } from '../wire/model-names.ts';
import { decodeItem } from './decode-item.ts';
import type { JobClient, JobHost } from './host.ts';
import { requestKindOf, type JobKind } from './kinds.ts';
import { clientGone, modelNotAllowed, wasUnavailable } from './unavailable-models.ts';

/** The same for every run of an item. */
export type ItemRequest = Omit<GatewayRequest, 'id' | 'receivedAt' | 'deadline' | 'caller'>;

export type PreparedItem =
  | { readonly request: ItemRequest }
  | { readonly refused: ItemResult }
  /** The configuration does not allow it at present, but did when the job was created. */
  | { readonly withheld: ItemError };

/** `hold` is called with the bytes read besides the body, and may throw. */
export async function prepareItem(
  host: JobHost,
  { job, kind }: { readonly job: OpenJob; readonly kind: JobKind },
  bytes: Uint8Array,
  hold: (bytes: number) => void,
): Promise<PreparedItem> {
  const client = host.client(job.client);
  const refused = (code: string, message: string) => ({ refused: refusal(code, message) });
  if (client === null) return { withheld: clientGone(job.client) };
  const decoded = await decodeItem(job, bytes, host.slices);
  if (!decoded.ok) return refused('invalid_request', decoded.message);
  if (decoded.facts.stream && kind.streams !== true) return refused('invalid_request', 'stream: requests of a batch cannot be streamed');
  const { model } = decoded.facts;
  if (!client.mayUse(model)) {
    const error = modelNotAllowed(model);
    return wasUnavailable(job, model) ? refused(error.code, error.message) : { withheld: error };
  }
  const denied = deniedModel(client, decoded.body);
  if (denied !== null) return refused('model_not_allowed', denied);
  const extras = await kind.extras?.(job, bytes, hold);
  return {
    request: {
      dialect: requestKindOf(job)!.dialect,
      path: job.path,
      method: 'POST',
      facts: decoded.facts,
      body: decoded.body,
      client,
      priority: job.priority as GatewayRequest['priority'],
      deadlineGiven: true,
      fallback: true,
      callerCredential: null,
      sessionKey: decoded.facts.cacheKey,
      forwardHeaders: [],
      idempotencyKey: null,
      cache: 'on',
      ...extras,
    },
  };
}

export function refusal(code: string, message: string): ItemResult {
  return { succeeded: false, status: null, facts: {}, body: null, error: { code, message } };
}

/** Models that other fields name. */
function deniedModel(client: JobClient, body: GatewayRequest['body']): string | null {
  if (!client.isLimited) return null;
  const { names, unreadable } = modelNamesIn(body.bytes, body.members);
  for (const name of names) if (!client.mayUse(name)) return modelNotAllowed(name).message;
  return unreadable === null ? null : `this client may not use every model, and '${unreadable}' is too large to be checked`;
}
