/**
 * The configurations that reloads have replaced within a day. They distinguish callers whom a reload has locked out from scanners. Keys are
 * stored as hashes. Nothing of it reaches a caller.
 */
import { hash } from 'node:crypto';
import type { Instant } from '../core/clock.ts';
import type { BreakwaterError } from '../core/errors.ts';
import { anonymousName } from './clients.ts';
import { resolveModel, type Config } from './config/index.ts';

const keptMs = 86_400_000;
const keptMax = 8;

interface Former {
  readonly config: Config;
  /** Names of clients by the hash of their key. */
  readonly names: ReadonlyMap<string, string>;
  readonly replacedAt: Instant;
}

export class FormerConfigs {
  readonly #now: () => Instant;
  /** Newest first. */
  #kept: readonly Former[] = [];

  constructor(now: () => Instant) {
    this.#now = now;
  }

  add(config: Config): void {
    const names = new Map(config.clients.map(({ keyHash, name }) => [keyHash, name]));
    this.#kept = [{ config, names, replacedAt: this.#now() }, ...this.#recent()].slice(0, keptMax);
  }

  /** The client that had this key; null: none. */
  clientOf(credential: string | null): string | null {
    const kept = this.#recent();
    if (kept.length === 0) return null;
    const keyHash = credential === null ? '' : `sha256:${hash('sha256', credential, 'hex')}`;
    for (const { config, names } of kept) {
      const name = names.get(keyHash) ?? (config.clients.length === 0 ? anonymousName : undefined);
      if (name !== undefined) return name;
    }
    return null;
  }

  /** What an operator should know of a request that was rejected for its model. */
  factsOf({ code }: BreakwaterError, model: string): { readonly hadModel?: true } {
    const hadModel = code === 'model_not_found' && this.#recent().some(({ config }) => resolveModel(config, model) !== null);
    return hadModel ? { hadModel } : {};
  }

  #recent(): readonly Former[] {
    const since = this.#now() - keptMs;
    return this.#kept.filter(({ replacedAt }) => replacedAt > since);
  }
}
