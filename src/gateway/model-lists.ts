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
/** A list that fails later than this was slow, in milliseconds. */
const SLOW_MS = 1_000;
/** A list that can't be read for so long counts as absent. */
const UNREAD_MAX_MS = 60 * 60_000;
/** Response statuses of providers without a list, or without one for this key. */
const NO_LIST: ReadonlySet<number> = new Set([403, 404, 405, 410, 501]);
const BODY_MAX = 4 * 1024 * 1024;

/** The last attempt to read a provider's list. */
interface Reading {
  readonly freshUntil: Instant;
  /** The first of the failed attempts in a row; null: it did not fail. */
  readonly unreadSince: Instant | null;
  /** It failed after a long wait, which callers are spared the next time. */
  readonly wasSlow: boolean;
}

export class ProviderLists {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #credentials: CredentialRegistry;
  #lists = new Map<string, ReadonlySet<string>>();
  #readings = new Map<string, Reading>();
  #fetching = new Map<string, Promise<void>>();

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

  /**
   * Fetches the lists that are not fresh. `isPatient`: waits also for those that did not respond in time before. Bounded in time; never
   * rejects.
   */
  async refresh(config: Config, isPatient = false): Promise<void> {
    const now = this.#clock.now();
    const awaited: Promise<void>[] = [];
    for (const provider of Object.values(config.providers)) {
      const reading = this.#readings.get(provider.name);
      if (provider.protocol === 'local' || (reading !== undefined && now < reading.freshUntil)) continue;
      const fetching = this.#fetching.get(provider.name) ?? this.#read(provider);
      if (isPatient || reading?.wasSlow !== true) awaited.push(fetching);
    }
    await Promise.all(awaited);
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
    const lists = this.#lists;
    if (resolveModel(config, name, lists) !== null) return true;
    await this.refresh(config, true);
    if (lists !== this.#lists) return null; // the config has changed
    if (resolveModel(config, name, lists) !== null) return true;
    return name.length <= MODEL_LENGTH_MAX && this.#isIncomplete() ? null : false;
  }

  /** The list of a provider that may have one can't be read. */
  #isIncomplete(): boolean {
    const since = this.#clock.now() - UNREAD_MAX_MS;
    return [...this.#readings.values()].some(({ unreadSince }) => unreadSince !== null && unreadSince > since);
  }

  /** Clears the cache after a config change. */
  forget(): void {
    this.#readings = new Map();
    this.#fetching = new Map();
    this.#lists = new Map();
  }

  #read(provider: ProviderConfig): Promise<void> {
    const { name } = provider;
    const [lists, readings, fetching] = [this.#lists, this.#readings, this.#fetching];
    const startedAt = this.#clock.now();
    const reading = this.#fetch(provider).then((list) => {
      const now = this.#clock.now();
      const isUnread = list === 'unread';
      const unreadSince = isUnread ? (readings.get(name)?.unreadSince ?? now) : null;
      const wasSlow = isUnread && now - startedAt >= SLOW_MS;
      readings.set(name, { unreadSince, wasSlow, freshUntil: now + (isUnread ? RETRY_MS : FRESH_MS) });
      if (!isUnread && list !== null) lists.set(name, list);
      fetching.delete(name);
    });
    fetching.set(name, reading);
    return reading;
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
          end('unread');
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

function readList(text: string): ReadonlySet<string> | 'unread' {
  const names = readModelList(text);
  return names === null ? 'unread' : new Set(names);
}
