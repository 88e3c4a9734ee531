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

/** Whether the current config names a target, or one of its credentials (`NAME#1`). */
export function isNamedBy(configOf: () => Config): (subject: string) => boolean {
  let config: Config | null = null;
  let names: ReadonlySet<string> = new Set();
  return (subject) => {
    if (config !== configOf()) {
      config = configOf();
      const targets = Object.values(config.models).flatMap(({ tiers }) => tiers.flat());
      names = new Set([...Object.keys(config.providers), ...targets.map(({ provider, model }) => `${provider}/${model}`)]);
    }
    return names.has(subject.replace(/#\d+$/, ''));
  };
}
