/** Asks a provider for its model list, and states what works and what to change. */
import type { Clock } from '../../core/clock.ts';
import { firstValue } from '../../core/headers.ts';
import type { Transport } from '../../transport/transport.ts';
import type { ProviderConfig } from '../../gateway/config/index.ts';
import { nearest } from '../../gateway/config/faults.ts';
import { authHeaders } from '../../gateway/credentials.ts';
import { listRequest } from '../../gateway/model-lists.ts';
import { readModelList } from '../../wire/model-list.ts';
import { readRateLimitHeaders } from '../../wire/rate-limit-headers.ts';
import { ask, type Reply } from './ask.ts';

/** `unknown`: the provider has no list to compare with, or is not asked. */
export type Works = 'yes' | 'no' | 'unknown';

export interface ProviderCheck {
  readonly provider: string;
  /** Position of the key in the config, from 1; null: it has none. */
  readonly key: number | null;
  readonly works: Works;
  readonly latencyMs: number | null;
  /** The number of listed models; null: there is no list. */
  readonly models: number | null;
  readonly missing: readonly string[];
  readonly limits: readonly string[];
  /** What is wrong, and what to do; empty if it works. */
  readonly cures: readonly string[];
}

export interface CheckParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** One result per key of the provider. `wanted`: the models that the config uses. */
export async function checkProvider(provider: ProviderConfig, wanted: readonly string[], parts: CheckParts): Promise<ProviderCheck[]> {
  const none = { provider: provider.name, key: null, latencyMs: null, models: null, missing: [], limits: [] } as const;
  const skipped = (why: string): ProviderCheck[] => [{ ...none, works: 'unknown', cures: [why] }];
  if (provider.protocol === 'local') return skipped('a local model is not asked');
  if (provider.apiKeys === 'caller') return skipped("it is called with the caller's own key, and is not asked");
  if (provider.identity !== null) return skipped('its requests are signed, or need an access token: use --calls');
  const keys = provider.apiKeys.length === 0 ? [null] : provider.apiKeys;
  const checks: ProviderCheck[] = [];
  for (const [i, key] of keys.entries()) checks.push(await checkKey(provider, wanted, key, key === null ? null : i + 1, parts));
  return checks;
}

async function checkKey(
  provider: ProviderConfig,
  wanted: readonly string[],
  key: string | null,
  number: number | null,
  parts: CheckParts,
): Promise<ProviderCheck> {
  const url = new URL(provider.baseUrl);
  const basePath = url.pathname.replace(/\/+$/, '');
  const request = listRequest(provider, key === null ? [] : authHeaders(provider, key));
  const base = { provider: provider.name, key: number, missing: [], limits: [], models: null } as const;
  if (request === null) return { ...base, works: 'unknown', latencyMs: null, cures: ['it has no model list: use --calls'] };
  const send = (path: string): Promise<Reply> => ask(parts.transport, parts.clock, { ...request, path }, parts.timeoutMs);
  const reply = await send(request.path);
  const list = reply.fault === null && reply.status === 200 ? readModelList(reply.text) : null;
  const latencyMs = reply.fault === null ? Math.round(reply.durationMs) : null;
  const limits = limitsIn(reply, parts.clock);
  if (list !== null) {
    const names = new Set(list);
    const missing = wanted.filter((model) => !isListed(model, names));
    const cures = missing.map((model) => missingCure(provider, model, names));
    return { ...base, works: missing.length === 0 ? 'yes' : 'no', latencyMs, models: names.size, missing, limits, cures };
  }
  const cure =
    reply.fault === null ? await statusCure(provider, reply, basePath, send, number) : connectionCure(url, reply.fault, parts.timeoutMs);
  return { ...base, works: cure.works, latencyMs, limits, cures: [cure.text] };
}

/** Gemini lists `models/NAME`; a name may be listed with a date or a tag. */
function isListed(model: string, names: ReadonlySet<string>): boolean {
  if (names.has(model) || names.has(`models/${model}`) || names.has(`${model}:latest`)) return true;
  return [...names].some((name) => name.endsWith(`/${model}`));
}

function missingCure({ name }: ProviderConfig, model: string, names: ReadonlySet<string>): string {
  const near = nearest(model, names);
  const meant = near === null ? '' : `; did you mean ${near}?`;
  return `${model} is not among the ${names.size} models of ${name}: correct its name under models, or get access to it${meant}`;
}

interface Cure {
  readonly works: Works;
  readonly text: string;
}

async function statusCure(
  { name }: ProviderConfig,
  { status, text }: Reply,
  basePath: string,
  send: (path: string) => Promise<Reply>,
  key: number | null,
): Promise<Cure> {
  const which = key === null || key === 1 ? `providers.${name}.apiKey` : `key ${key} of providers.${name}`;
  if (status === 401 || status === 403) {
    if (key === null) return { works: 'no', text: `it needs a key (status ${status}): set providers.${name}.apiKey` };
    return { works: 'no', text: `the key is rejected (status ${status}): correct ${which}, or give it access` };
  }
  if (status === 429)
    return { works: 'yes', text: 'it is rate limited or out of credit at the moment (status 429): check its quota and balance' };
  if (status >= 500) return { works: 'no', text: `it fails with status ${status} at the moment: try again, or see its status page` };
  if (status === 404 || status === 405 || status === 200) {
    if (!/\/v\d/.test(basePath)) {
      const other = await send(`${basePath}/v1/models`);
      if (other.fault === null && (readModelList(other.text) !== null || other.status === 401))
        return { works: 'no', text: `its API is under /v1: write providers.${name}.baseUrl with /v1 at its end` };
    }
    if (status === 200)
      return { works: 'no', text: `the response is not a model list, but ${kindOf(text)}: correct providers.${name}.baseUrl` };
    return {
      works: 'unknown',
      text: `there is no model list at ${basePath}/models (status ${status}): verify providers.${name}.baseUrl, or use --calls`,
    };
  }
  return { works: 'no', text: `it responds with status ${status}: verify providers.${name}.baseUrl` };
}

function kindOf(text: string): string {
  return /^\s*</.test(text) ? 'a web page' : text.trim() === '' ? 'empty' : 'something else';
}

/** What to do about a failed connection, by its code. */
export function connectionCure(url: URL, fault: string, timeoutMs: number): Cure {
  const no = (text: string): Cure => ({ works: 'no', text });
  if (fault === 'TIMEOUT' || /TIMEDOUT|TIMEOUT/.test(fault))
    return no(
      `no response within ${timeoutMs / 1000} s: check that ${url.host} can be reached from here (firewall, HTTPS_PROXY), or raise --timeout`,
    );
  if (fault === 'ENOTFOUND') return no(`the host ${url.hostname} does not exist: correct the baseUrl`);
  if (fault === 'EAI_AGAIN') return no(`the name ${url.hostname} could not be resolved: check the DNS of this machine`);
  if (fault === 'ECONNREFUSED') return no(`nothing listens at ${url.host}: start the server, or correct host and port of the baseUrl`);
  if (/CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/.test(fault))
    return no(`the certificate of ${url.host} is not trusted (${fault}): set NODE_EXTRA_CA_CERTS to the file of its authority`);
  if (/SSL|EPROTO|HPE_/.test(fault))
    return no(`${url.host} does not speak ${url.protocol.slice(0, -1)} (${fault}): correct the scheme of the baseUrl`);
  return no(`the connection to ${url.host} failed (${fault}): check the baseUrl and the network`);
}

/** `500 requests per minute`, as reported in the headers. */
export function limitsIn(reply: Pick<Reply, 'headers'>, clock: Clock): string[] {
  const hints = readRateLimitHeaders({ get: (name) => firstValue(reply.headers[name]) ?? null }, clock.epochMs());
  return hints.flatMap(({ kind, window, limit }) => (limit === null ? [] : [`${limit} ${kind}${window === null ? '' : ` per ${window}`}`]));
}
