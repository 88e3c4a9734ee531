/** Custom quality checks from modules, loaded before a config is applied. */
import { pathToFileURL } from 'node:url';
import type { JudgeModel, QualityCheck } from '../core/quality.ts';
import type { TargetQuality } from '../pipeline/route/target-quality.ts';
import { QualityRules } from '../policy/quality/quality.ts';
import type { Config } from './config/index.ts';
import { patternFlags } from './config/index.ts';

type QualityPolicy = Config['policy']['quality'];
/** Anything with a quality policy. */
interface Owner {
  readonly policy: { readonly quality?: { readonly check?: unknown } | undefined };
}

/** A configured module cannot be loaded or has no check: a configuration error. */
export class CheckFault extends Error {
  override readonly name = 'CheckFault';
}

export class QualityChecks {
  /** By path. Each module is loaded once, as Node.js caches modules. */
  readonly #loaded = new Map<string, QualityCheck>();

  /** Loads every module in the config. Rejects with a CheckFault that names the module that can't be loaded. */
  async load(config: Config): Promise<void> {
    const owners: Owner[] = [config, ...Object.values(config.providers), ...Object.values(config.models)];
    const paths = new Set(owners.map(({ policy }) => policy.quality?.check).filter((check) => typeof check === 'string'));
    for (const path of paths) if (!this.#loaded.has(path)) this.#loaded.set(path, await loadCheck(path));
  }

  /** The quality checks of a policy. */
  qualityOf(quality: QualityPolicy): TargetQuality {
    return {
      rules: new QualityRules(quality, patternFlags),
      jsonSchema: quality.jsonSchema,
      buffer: quality.buffer,
      check: this.#checkOf(quality.check),
      checkTimeoutMs: quality.checkTimeout,
    };
  }

  #checkOf(setting: QualityPolicy['check']): QualityCheck | JudgeModel | null {
    if (typeof setting !== 'string') return setting;
    // Looked up when called: routes are built before their modules are loaded.
    return (response) => {
      const check = this.#loaded.get(setting);
      if (check === undefined) throw new Error(`the module ${setting} is not loaded`);
      return check(response);
    };
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node.js appends the path of the importing file.
  return error.message.split('\n')[0]!.replace(/ imported from .*$/, '');
}

async function loadCheck(path: string): Promise<QualityCheck> {
  let loaded: unknown;
  try {
    loaded = await import(pathToFileURL(path).href);
  } catch (error) {
    throw new CheckFault(`quality.check: the module ${path} can't be loaded: ${reasonOf(error)}`, { cause: error });
  }
  const { default: check } = loaded as { default?: unknown };
  if (typeof check !== 'function') throw new CheckFault(`quality.check: the module ${path} has no function as its default export`);
  return check as QualityCheck;
}
