/** Facts derived from a config. */
import type { Config } from './config/index.ts';

/** Whether several holders may share the buffer memory: clients, or addresses of callers without a key. */
export function isBufferShared({ clients, server }: Config): boolean {
  return clients.length > 1 || (clients.length === 0 && server.allowAnonymous);
}

/** The origins of all HTTP providers. */
export function originsOf({ providers }: Config): ReadonlySet<string> {
  const urls = Object.values(providers).map(({ baseUrl }) => baseUrl);
  return new Set(urls.filter((url) => url !== '').map((url) => new URL(url).origin));
}
