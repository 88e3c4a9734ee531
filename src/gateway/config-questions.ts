/** What follows from a config for the whole gateway. */
import type { Config } from './config/index.ts';

/** Whether more than one may hold bytes: clients, or callers without a key at several addresses. */
export function mayBeShared({ clients, server }: Config): boolean {
  return clients.length > 1 || (clients.length === 0 && server.allowAnonymous);
}

/** Where the config sends to over HTTP. */
export function originsOf({ providers }: Config): ReadonlySet<string> {
  const urls = Object.values(providers).map(({ baseUrl }) => baseUrl);
  return new Set(urls.filter((url) => url !== '').map((url) => new URL(url).origin));
}
