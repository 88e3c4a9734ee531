/** Access to a gateway: a running one, or one in this process. */
import { resolve } from 'node:path';
import { EventBus } from '../../core/events.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import type { Config } from '../../gateway/config/index.ts';
import { createGateway } from '../../gateway/create-gateway.ts';
import { systemClock } from '../../gateway/system-clock.ts';
import { systemRandom } from '../../gateway/system-random.ts';
import { createApp } from '../../server/app.ts';
import { drain } from '../../server/drain.ts';
import { createFetch } from '../../server/fetch.ts';
import { openStore } from '../../store/open-store.ts';
import type { AccessFlags } from './flags.ts';
import { OperatorError } from '../fail.ts';
import { findConfig } from '../find-config.ts';
import { BatchApi, type Fetch } from './api.ts';
import { askGateway, gatewayAt, ownGateway, type OwnGateway } from '../own-gateway.ts';

/** Timeout for detecting a running gateway on this machine, in milliseconds. */
const DETECT_TIMEOUT_MS = 500;
/** The same for a gateway at a given URL, which may be far away or busy. */
const URL_TIMEOUT_MS = 5_000;

export interface Access {
  readonly api: BatchApi;
  /** Whether the gateway keeps running after this command. */
  readonly isRemote: boolean;
  /** Its location, for messages. */
  readonly place: string;
  /** Lets the gateway in this process finish running requests, unless `hurry` is called. */
  close(): Promise<void>;
  /** Requests that run are cut off and saved as such, so that they are made again. Null: the gateway keeps running. */
  readonly hurry: (() => void) | null;
}

/** What a gateway in this process does with open batches: it continues all, only reads, or ends the one with this id if it is cancelled. */
export type Runs = 'all' | 'none' | { readonly ends: string };

export async function openAccess(flags: AccessFlags, runs: Runs): Promise<Access> {
  const key = flags.key ?? process.env['BREAKWATER_KEY'] ?? null;
  if (flags.url !== undefined) {
    const gateway = gatewayAt(flags.url);
    if (!(await isGateway(gateway, URL_TIMEOUT_MS))) throw new OperatorError([`${flags.url}: no gateway responds there`]);
    return remote(gateway, key);
  }
  const { config, file } = await findConfig({ config: flags.config });
  const own = await ownGateway(config);
  if (config.server.port !== 0 && (await isGateway(own, DETECT_TIMEOUT_MS))) return remote(own, key ?? keyOf(config));
  await own.close();
  if (Object.keys(config.providers).length > 0) return inProcess(config, { key: key ?? keyOf(config), runs });
  if (flags.demo !== true) {
    const found = file === null ? 'no provider is configured' : `${file}: providers: none configured`;
    throw new OperatorError([found, 'set a key such as OPENAI_API_KEY, or write breakwater.yaml with providers, or try it with --demo']);
  }
  const { startDemo } = await import('../demo.ts');
  const demo = await startDemo(config);
  return inProcess(demo.config, { key: null, runs }, () => demo.close());
}

/** The key of the first client that has one; the command runs on the operator's machine. */
function keyOf({ clients }: Config): string | null {
  return clients.find((client) => client.key !== null)?.key ?? null;
}

function remote({ url, fetch, close }: OwnGateway, key: string | null): Access {
  return { api: new BatchApi(fetch, url, key), isRemote: true, place: url, close, hurry: null };
}

async function isGateway(gateway: OwnGateway, timeoutMs: number): Promise<boolean> {
  const url = gateway.url.replace(/\/+$/, '').replace(/\/v1$/, '');
  const reply = await askGateway({ ...gateway, url }, '/health/live', { timeoutMs });
  if (!reply.ok || reply.headers.get('x-request-id')?.startsWith('req_') !== true) return false;
  const body = parseOrUndefined(reply.body);
  return isRecord(body) && body['status'] === 'live';
}

/** Defaults to a file, so that a batch can be resumed. */
function storeUrl({ store }: Config): string {
  if (store.kind === 'redis') return store.url;
  return `sqlite:${store.kind === 'sqlite' ? store.path : resolve('breakwater.db')}`;
}

async function inProcess(
  config: Config,
  { key, runs }: { readonly key: string | null; readonly runs: Runs },
  alsoClose: () => Promise<void> = async () => {},
): Promise<Access> {
  const clock = systemClock;
  const events = new EventBus((error) => process.emitWarning(String(error)));
  const warn = (message: string): void => void process.stderr.write(`breakwater: ${message}\n`);
  events.on('warning', ({ message, detail }) => warn(detail === undefined ? message : `${message}: ${detail}`));
  const url = storeUrl(config);
  const store = await openStore(url, { clock, onWarning: warn, warnsOfSharing: runs !== 'none' });
  const options = { config, clock, random: systemRandom, store, events, env: process.env };
  const gateway = await createGateway({ ...options, continuesJobs: runs === 'all' });
  if (typeof runs === 'object') gateway.jobs?.endOnly(runs.ends);
  const app = createApp({ gateway, random: systemRandom });
  const go: Fetch = createFetch(app);
  const hurry = Promise.withResolvers<void>();
  return {
    api: new BatchApi(go, 'http://breakwater', key),
    isRemote: false,
    place: `this process, ${url}`,
    async close() {
      await drain({ app, gateway, listener: null, clock, timeoutMs: config.server.drainTimeout, hurry: hurry.promise });
      await alsoClose();
    },
    hurry: hurry.resolve,
  };
}
