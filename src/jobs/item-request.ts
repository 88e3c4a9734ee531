/** The request of an item, without the parts that depend on when it runs. */
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ItemResult, OpenJob } from '../store/jobs/job-store.ts';
import { modelNamesIn } from '../wire/model-names.ts';
import { decodeItem } from './decode-item.ts';
import type { JobClient, JobHost } from './host.ts';
import { requestKindOf, type JobKind } from './kinds.ts';

/** The same for every run of an item. */
export type ItemRequest = Omit<GatewayRequest, 'id' | 'receivedAt' | 'deadline' | 'caller'>;

/** `hold` is called with the bytes read besides the body, and may throw. */
export async function prepareItem(
  host: JobHost,
  { job, kind }: { readonly job: OpenJob; readonly kind: JobKind },
  bytes: Uint8Array,
  hold: (bytes: number) => void,
): Promise<{ readonly request: ItemRequest } | { readonly refused: ItemResult }> {
  const client = host.client(job.client);
  const refused = (code: string, message: string) => ({ refused: refusal(code, message) });
  if (client === null) return refused('invalid_api_key', `the client ${JSON.stringify(job.client)} is no longer configured`);
  const decoded = await decodeItem(job, bytes, host.slices);
  if (!decoded.ok) return refused('invalid_request', decoded.message);
  if (decoded.facts.stream && kind.streams !== true) return refused('invalid_request', 'stream: requests of a batch cannot be streamed');
  const denied = deniedModel(client, decoded.facts.model, decoded.body);
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

function deniedModel(client: JobClient, model: string, body: GatewayRequest['body']): string | null {
  if (!client.mayUse(model)) return `this client may not use the model ${JSON.stringify(model.slice(0, 200))}`;
  if (!client.isLimited) return null;
  const { names, unreadable } = modelNamesIn(body.bytes, body.members);
  for (const name of names) if (!client.mayUse(name)) return `this client may not use the model ${JSON.stringify(name.slice(0, 200))}`;
  return unreadable === null ? null : `this client may not use every model, and '${unreadable}' is too large to be checked`;
}
