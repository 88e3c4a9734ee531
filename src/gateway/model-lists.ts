/** The providers' own model lists (`GET /models`): fetched only when a name or a list needs them, then cached. */
import type { Clock, Instant } from '../core/clock.ts';
import type { Transport, UpstreamRequest } from '../transport/transport.ts';
import { endpointOf } from '../endpoint/endpoints.ts';
import { readModelList } from '../wire/model-list.ts';
import { resolveModel } from './config/index.ts';
import type { Config, ModelLists, ProviderConfig } from './config/index.ts';
import type { CredentialRegistry } from './credentials.ts';
import type { ModelEntry } from './gateway.ts';
import { MODEL_LENGTH_MAX } from './gateway-errors.ts';

const FRESH_MS = 5 * 60_000;
/** After a list could not be read. */
const RETRY_MS = 10_000;
const FETCH_TIMEOUT_MS = 3_000;
/** Response statuses of providers without a list. */
const NO_LIST: ReadonlySet<number> = new Set([404, 405, 410, 501]);
const BODY_MAX = 4 * 1024 * 1024;

export class ProviderLists {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #credentials: CredentialRegistry;
  #lists = new Map<string, ReadonlySet<string>>();
  #freshUntil: Instant = -Infinity;
  /** The list of a provider could not be read, which may have one. */
  #isIncomplete = false;
  #fetching: Promise<void> | null = null;

  constructor(transport: Transport, clock: Clock, credentials: CredentialRegistry) {
    this.#transport = transport;
    this.#clock = clock;
    this.#credentials = credentials;
  }

  /** The cached lists, by provider. */
  get known(): ModelLists {
    return this.#lists;
  }

  /** Whether a cached list has `PROVIDER/MODEL`. */
  names(model: string): boolean {
    const slash = model.indexOf('/');
    return slash > 0 && this.#lists.get(model.slice(0, slash))?.has(model.slice(slash + 1)) === true;
  }

  /** Fetches the list of every provider that has one, unless the cache is fresh. Bounded in time; never rejects. */
  refresh(config: Config): Promise<void> {
    if (this.#clock.now() < this.#freshUntil) return Promise.resolve();
    if (this.#fetching !== null) return this.#fetching;
    const lists = this.#lists;
    this.#fetching = this.#fetchAll(config, lists).finally(() => {
      if (lists !== this.#lists) return; // the config has changed
      this.#fetching = null;
      this.#freshUntil = this.#clock.now() + (this.#isIncomplete ? RETRY_MS : FRESH_MS);
    });
    return this.#fetching;
  }

  /** A model and its owner; null: unknown. The lists are fetched if the name is not known without them. */
  async find(config: Config, name: string): Promise<ModelEntry | null> {
    let resolved = resolveModel(config, name, this.#lists);
    if (resolved === null) {
      await this.refresh(config);
      resolved = resolveModel(config, name, this.#lists);
    }
    if (resolved === null) return null;
    const isConfigured = resolved.by === 'model' || resolved.by === 'pattern';
    return { id: name, ownedBy: isConfigured ? 'breakwater' : resolved.tiers[0]![0]!.provider };
  }

  /** Whether there is a model of this name; null: not known, as the list of a provider can't be read at present. */
  async has(config: Config, name: string): Promise<boolean | null> {
    if ((await this.find(config, name)) !== null) return true;
    return this.#isIncomplete && name.length <= MODEL_LENGTH_MAX ? null : false;
  }

  /** Clears the cache after a config change. */
  forget(): void {
    this.#freshUntil = -Infinity;
    this.#fetching = null;
    this.#isIncomplete = false;
    this.#lists = new Map();
  }

  async #fetchAll(config: Config, lists: Map<string, ReadonlySet<string>>): Promise<void> {
    const providers = Object.values(config.providers).filter(({ protocol }) => protocol !== 'local');
    let isIncomplete = false;
    await Promise.all(
      providers.map(async (provider) => {
        const list = await this.#fetch(provider);
        if (list === 'unread') isIncomplete = true;
        else if (list !== null) lists.set(provider.name, list);
      }),
    );
    if (lists === this.#lists) this.#isIncomplete = isIncomplete;
  }

  /** Null: it has none. */
  #fetch(provider: ProviderConfig): Promise<ReadonlySet<string> | null | 'unread'> {
    const { auth } = this.#credentials.inOrder(provider, this.#clock.now());
    if (auth === 'caller') return Promise.resolve(null);
    const asked = listRequest(provider, auth);
    if (asked === null) return Promise.resolve(null);
    return new Promise((resolve) => {
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      let status = 0;
      const end = (list: ReadonlySet<string> | null | 'unread') => {
        timer.cancel();
        resolve(list);
      };
      const timer = this.#clock.schedule(FETCH_TIMEOUT_MS, () => {
        call.abort();
        end('unread');
      });
      const request = { ...asked, method: 'GET', body: null, connectTimeoutMs: FETCH_TIMEOUT_MS };
      const call = this.#transport.send(request, {
        onSent() {},
        onHeaders: (received) => (status = received),
        onData(chunk) {
          chunks.push(chunk);
          bytes += chunk.byteLength;
          if (bytes <= BODY_MAX) return;
          call.abort();
          end(null);
        },
        onEnd: () => end(status === 200 ? readList(Buffer.concat(chunks).toString()) : NO_LIST.has(status) ? null : 'unread'),
        onError: () => end('unread'),
      });
    });
  }
}

/** The request for a provider's model list; null: it has none. `auth`: the headers of its credential. */
export function listRequest(
  provider: ProviderConfig,
  auth: readonly string[],
): Pick<UpstreamRequest, 'origin' | 'path' | 'headers'> | null {
  const endpoint = endpointOf(provider.address, provider.protocol);
  const url = new URL(provider.baseUrl);
  const path = endpoint.modelsPath(url.pathname.replace(/\/+$/, ''));
  if (path === null) return null;
  const own = Object.entries(provider.headers).flat();
  const headers = [...own, 'accept', 'application/json', 'accept-encoding', 'identity', ...endpoint.defaultHeaders, ...auth];
  return { origin: url.origin, path, headers };
}

function readList(text: string): ReadonlySet<string> | null {
  const names = readModelList(text);
  return names === null ? null : new Set(names);
}
