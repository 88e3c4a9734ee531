/** The operator's own checks that stand in modules, loaded before a config is taken into use. */
import { pathToFileURL } from 'node:url';
import type { JudgeModel, QualityCheck } from '../core/quality.ts';
import type { TargetQuality } from '../pipeline/route/target-quality.ts';
import { QualityRules } from '../policy/quality/quality.ts';
import type { Config } from './config/index.ts';
import { patternFlags } from './config/index.ts';

type QualityPolicy = Config['policy']['quality'];
/** Any part of a policy, as far as it matters here. */
interface Owner {
  readonly policy: { readonly quality?: { readonly check?: unknown } | undefined };
}

/** A module that the config names is not as it should be: the operator's matter. */
export class CheckFault extends Error {
  override readonly name = 'CheckFault';
}

export class QualityChecks {
  /** By path. A module is read once: node keeps it. */
  readonly #loaded = new Map<string, QualityCheck>();

  /** Loads every module that the config names. Rejects with a CheckFault that names the one that can't be loaded. */
  async load(config: Config): Promise<void> {
    const owners: Owner[] = [config, ...Object.values(config.providers), ...Object.values(config.models)];
    const paths = new Set(owners.map(({ policy }) => policy.quality?.check).filter((check) => typeof check === 'string'));
    for (const path of paths) if (!this.#loaded.has(path)) this.#loaded.set(path, await loadCheck(path));
  }

  /** What the targets of a policy must answer. */
  qualityOf(quality: QualityPolicy): TargetQuality {
    return {
      rules: new QualityRules(quality, patternFlags),
      jsonSchema: quality.jsonSchema,
      buffer: quality.buffer,
      check: this.#checkOf(quality.check),
      checkTimeoutMs: quality.checkTimeout,
    };
  }

  #checkOf(given: QualityPolicy['check']): QualityCheck | JudgeModel | null {
    if (typeof given !== 'string') return given;
    // Looked up when it is called: routes are made before their modules are there.
    return (answer) => {
      const check = this.#loaded.get(given);
      if (check === undefined) throw new Error(`the module ${given} is not loaded`);
      return check(answer);
    };
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node goes on with the file of ours that asked for it.
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
