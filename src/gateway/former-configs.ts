/**
 * What the configurations that reloads have replaced within a day accepted. It distinguishes callers whom a reload has locked out from scanners.
 * Client keys are stored as hashes, and nothing else of a configuration that may be secret. Nothing of it reaches a caller.
 */
import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Instant } from '../core/clock.ts';
import { anonymousName } from './clients.ts';
import { resolveModel, type Config, type NamingConfig } from './config/index.ts';

const keptMs = 86_400_000;
const keptMax = 8;

interface Accepted extends NamingConfig {
  /** Names of clients by the hash of their key. */
  readonly names: ReadonlyMap<string, string>;
  readonly allowAnonymous: boolean;
}

interface Former {
  readonly accepted: Accepted;
  readonly replacedAt: Instant;
}

export class FormerConfigs {
  readonly #now: () => Instant;
  /** Newest first, all different. */
  #kept: readonly Former[] = [];

  constructor(now: () => Instant) {
    this.#now = now;
  }

  /** `next` replaces `config`. A change of anything else takes no place: the file may be loaded unchanged, and often. */
  add(config: Config, next: Config): void {
    const accepted = acceptedBy(config);
    if (isDeepStrictEqual(accepted, acceptedBy(next))) return;
    const others = this.#recent().filter((former) => !isDeepStrictEqual(former.accepted, accepted));
    this.#kept = [{ accepted, replacedAt: this.#now() }, ...others].slice(0, keptMax);
  }

  /** The client that a request with this key had; null: none. Without clients only local requests were accepted, unless any were allowed. */
  clientOf(credential: string | null, isLocal: boolean): string | null {
    const kept = this.#recent();
    if (kept.length === 0) return null;
    const keyHash = credential === null ? '' : `sha256:${hash('sha256', credential, 'hex')}`;
    for (const { accepted } of kept) {
      const { names, allowAnonymous } = accepted;
      const wasAnonymous = names.size === 0 && (allowAnonymous || isLocal);
      const name = names.get(keyHash) ?? (wasAnonymous ? anonymousName : undefined);
      if (name !== undefined) return name;
    }
    return null;
  }

  hadModel(model: string): boolean {
    return this.#recent().some(({ accepted }) => resolveModel(accepted, model) !== null);
  }

  #recent(): readonly Former[] {
    const since = this.#now() - keptMs;
    if (this.#kept.some(({ replacedAt }) => replacedAt <= since)) this.#kept = this.#kept.filter(({ replacedAt }) => replacedAt > since);
    return this.#kept;
  }
}

function acceptedBy({ clients, server, models, providers }: Config): Accepted {
  // Without prototypes, as in a configuration: models may have any name.
  const named: Record<string, NamingConfig['providers'][string]> = Object.create(null);
  for (const [key, { name, preset, prefill, models: served }] of Object.entries(providers)) {
    const prefills: Record<string, { readonly prefill: boolean }> = Object.create(null);
    for (const [model, settings] of Object.entries(served)) prefills[model] = { prefill: settings.prefill };
    named[key] = { name, preset, prefill, models: prefills };
  }
  const names = new Map(clients.map(({ keyHash, name }) => [keyHash, name]));
  return { names, allowAnonymous: server.allowAnonymous, models, providers: named };
}
