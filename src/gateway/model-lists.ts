/** The providers' own model lists (`GET /models`): fetched only when a name or a list needs them, then cached. */
import type { Clock, Instant } from '../core/clock.ts';
import type { Transport, UpstreamRequest } from '../transport/transport.ts';
import { endpointOf } from '../endpoint/endpoints.ts';
import { readModelList } from '../wire/model-list.ts';
import { resolveModel } from './config/index.ts';
import type { Config, ModelLists, ProviderConfig } from './config/index.ts';
import type { CredentialRegistry } from './credentials.ts';
import type { ModelEntry } from './gateway.ts';

const FRESH_MS = 5 * 60_000;
const FETCH_TIMEOUT_MS = 3_000;
const BODY_MAX = 4 * 1024 * 1024;

export class ProviderLists {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #credentials: CredentialRegistry;
  #lists = new Map<string, ReadonlySet<string>>();
  #freshUntil: Instant = -Infinity;
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

  /** Fetches the list of every provider that has one, unless the cache is fresh. Bounded in time; never rejects. */
  refresh(config: Config): Promise<void> {
    if (this.#clock.now() < this.#freshUntil) return Promise.resolve();
    if (this.#fetching !== null) return this.#fetching;
    const lists = this.#lists;
    this.#fetching = this.#fetchAll(config, lists).finally(() => {
      if (lists !== this.#lists) return; // the config has changed
      this.#fetching = null;
      this.#freshUntil = this.#clock.now() + FRESH_MS;
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

  /** Clears the cache after a config change. */
  forget(): void {
    this.#freshUntil = -Infinity;
    this.#fetching = null;
    this.#lists = new Map();
  }

  async #fetchAll(config: Config, lists: Map<string, ReadonlySet<string>>): Promise<void> {
    const providers = Object.values(config.providers).filter(({ protocol }) => protocol !== 'local');
    await Promise.all(
      providers.map(async (provider) => {
        const list = await this.#fetch(provider);
        if (list !== null) lists.set(provider.name, list);
      }),
    );
  }

  #fetch(provider: ProviderConfig): Promise<ReadonlySet<string> | null> {
    const { auth } = this.#credentials.inOrder(provider, this.#clock.now());
    if (auth === 'caller') return Promise.resolve(null);
    const asked = listRequest(provider, auth);
    if (asked === null) return Promise.resolve(null);
    return new Promise((resolve) => {
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      let isGood = false;
      const end = (list: ReadonlySet<string> | null) => {
        timer.cancel();
        resolve(list);
      };
      const timer = this.#clock.schedule(FETCH_TIMEOUT_MS, () => {
        call.abort();
        end(null);
      });
      const request = { ...asked, method: 'GET', body: null, connectTimeoutMs: FETCH_TIMEOUT_MS };
      const call = this.#transport.send(request, {
        onSent() {},
        onHeaders: (status) => (isGood = status === 200),
        onData(chunk) {
          chunks.push(chunk);
          bytes += chunk.byteLength;
          if (bytes <= BODY_MAX) return;
          call.abort();
          end(null);
        },
        onEnd: () => end(isGood ? readList(Buffer.concat(chunks).toString()) : null),
        onError: () => end(null),
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
