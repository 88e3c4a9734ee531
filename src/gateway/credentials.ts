/** The credentials of all providers. State belongs to the key and survives a reload that moves the key in its list. */
import { hash } from 'node:crypto';
import type { Instant } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { Quarantine } from '../policy/cooldown/quarantine.ts';
import { Cooldown } from '../policy/cooldown/cooldown.ts';
import { endpointOf } from '../endpoint/endpoints.ts';
import type { Credential } from '../pipeline/route/route.ts';
import type { ClosableSigner, CreateSigner } from './identity/signers.ts';
import type { Config, ProviderConfig } from './config/index.ts';

/** A credential with its rate-limit cooldown, for providers whose limits apply to all models of a key. */
export interface ProviderCredential extends Credential {
  number: number;
  auth: Credential['auth'];
  readonly signer: ClosableSigner | null;
  readonly cooldown: Cooldown;
}

export class CredentialRegistry {
  readonly #random: Random;
  readonly #createSigner: CreateSigner;
  readonly #known = new Map<string, ProviderCredential>();
  /** By provider, in the order of its keys; built once per config. */
  #lists = new WeakMap<ProviderConfig, readonly ProviderCredential[]>();
  /** Called for each new credential. */
  onCreated: ((credential: ProviderCredential) => void) | null = null;

  constructor(random: Random, createSigner: CreateSigner) {
    this.#random = random;
    this.#createSigner = createSigner;
  }

  of(provider: ProviderConfig): readonly ProviderCredential[] {
    let list = this.#lists.get(provider);
    if (list === undefined) {
      // A provider without a key has one credential without headers.
      const keys = provider.apiKeys === 'caller' || provider.apiKeys.length === 0 ? [null] : provider.apiKeys;
      list = keys.map((key, i) => this.#numbered(provider, key, i + 1));
      this.#lists.set(provider, list);
    }
    return list;
  }

  /** The first usable credential, else the first. */
  inOrder(provider: ProviderConfig, now: Instant): ProviderCredential {
    const list = this.of(provider);
    return list.find(({ quarantine }) => quarantine.remainingMs(now) === 0 && quarantine.earliest(now) === now) ?? list[0]!;
  }

  all(): IterableIterator<ProviderCredential> {
    return this.#known.values();
  }

  /** After a reload: drops removed keys, except quarantined ones, which are still quarantined if they are configured again. */
  forgetOthers(config: Config): void {
    const kept = new Set(Object.values(config.providers).flatMap((provider) => this.of(provider)));
    for (const credential of this.#known.values()) {
      if (kept.has(credential) || credential.quarantine.isInDoubt) continue;
      credential.signer?.close();
      this.#known.delete(credential.id);
    }
  }

  close(): void {
    for (const { signer } of this.#known.values()) signer?.close();
  }

  #numbered(provider: ProviderConfig, key: string | null, number: number): ProviderCredential {
    const isCaller = provider.apiKeys === 'caller';
    const { identity } = provider;
    const secret = key ?? (identity === null ? null : JSON.stringify(identity));
    const id = `${provider.name}#${secret === null ? (isCaller ? 'caller' : 'none') : fingerprint(secret)}`;
    const auth = key === null ? (isCaller ? ('caller' as const) : []) : authHeaders(provider, key);
    let credential = this.#known.get(id);
    if (credential === undefined) {
      credential = {
        id,
        number,
        auth,
        signer: identity === null ? null : this.#createSigner(identity),
        quarantine: new Quarantine(`${id}:quarantine`),
        cooldown: new Cooldown(`${id}:cooldown`, 'cooldown', this.#random),
      };
      this.#known.set(id, credential);
      this.onCreated?.(credential);
    }
    credential.number = number;
    credential.auth = auth;
    return credential;
  }
}

/** Identifies a key without revealing it. */
function fingerprint(key: string): string {
  return hash('sha256', key, 'hex').slice(0, 16);
}

/** The headers that authenticate a request to the provider, as alternating names and values. */
export function authHeaders(provider: ProviderConfig, key: string): string[] {
  const { address, protocol, auth } = provider;
  const name = address.name === 'direct' ? auth : endpointOf(address, protocol).credentialHeader(key, null);
  // For Claude on Azure, Anthropic's own header is documented; each API ignores the other's.
  if (name === 'api-key') return [name, key, 'x-api-key', key];
  return name === 'bearer' || name === 'authorization' ? ['authorization', `Bearer ${key}`] : [name, key];
}
