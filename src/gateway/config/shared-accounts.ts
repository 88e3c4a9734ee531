/** Detects providers that use one account: they share its limits, but each counts only its own usage. */
import { isDeepStrictEqual } from 'node:util';
import type { Config, ProviderConfig } from './config.ts';

/** A warning for each pair with the same address and key, without the key. */
export function sharedAccounts({ providers }: Pick<Config, 'providers'>): string[] {
  const found: string[] = [];
  const all = Object.values(providers).filter(({ baseUrl }) => baseUrl !== '');
  for (const [at, one] of all.entries()) {
    for (const other of all.slice(at + 1)) {
      if (addressOf(one) !== addressOf(other)) continue;
      const how = sharedKey(one, other);
      if (how !== null) found.push(warningOf(one.name, other.name, how));
    }
  }
  return found;
}

function warningOf(one: string, other: string, how: string): string {
  return `providers.${one} and providers.${other} have the same baseUrl and ${how}: their limits are shared at the vendor but counted separately here; merge them into one provider`;
}

/** For Vertex, the address includes project and location. */
function addressOf({ baseUrl, address }: ProviderConfig): string {
  const place = address.name === 'vertex' ? ` ${address.project} ${address.location}` : '';
  return new URL(baseUrl).href.replace(/\/+$/, '') + place;
}

/** What two providers have in common; null: different keys, or keys of callers. */
function sharedKey(one: ProviderConfig, other: ProviderConfig): string | null {
  if (one.apiKeys === 'caller' || other.apiKeys === 'caller') return null;
  if (one.identity !== null || other.identity !== null)
    return isDeepStrictEqual(one.identity, other.identity) ? 'credentials in common' : null;
  if (one.apiKeys.length === 0 && other.apiKeys.length === 0) return 'no key';
  return one.apiKeys.some((key) => other.apiKeys.includes(key)) ? 'a key in common' : null;
}
