/** Builds routes from the model input: tiers of targets with known providers. */
import { gatherPolicy } from './build-policy.ts';
import { record } from './record.ts';
import type { ModelConfig, ProviderConfig, TargetSpec } from './config.ts';
import type { FaultList, Path } from './faults.ts';
import { nearest } from './faults.ts';
import { isModelName, modelNameCharsMax } from './model-names.ts';
import { defaultPatienceMs, type ModelInput, type TargetInput } from './model-schema.ts';

/** Splits `provider/model` at the first slash; the model may contain more. Null: a part is missing. */
export function splitTarget(target: string): { readonly provider: string; readonly model: string } | null {
  const slash = target.indexOf('/');
  if (slash < 1 || slash === target.length - 1) return null;
  return { provider: target.slice(0, slash), model: target.slice(slash + 1) };
}

export interface ModelContext {
  /** Every name under `providers`, including invalid ones, so that an error there is not reported here again. */
  readonly providerNames: ReadonlySet<string>;
  /** The valid providers. */
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  readonly faults: FaultList;
}

export function buildModel(name: string, input: ModelInput, context: ModelContext): ModelConfig {
  const path: Path = ['models', name];
  const isPattern = name.includes('*');
  if (name.trim() !== name || name === '') context.faults.add(path, 'must have a name without leading or trailing spaces', name);
  else if (!isModelName(name))
    context.faults.add(path, `must have a name of at most ${modelNameCharsMax} characters, without control characters`, name);
  if (name.split('*').length > 2) context.faults.add(path, 'must have at most one * in its name', name);

  const isShort = Array.isArray(input);
  const targets = isShort ? input : input.targets;
  const listPath = isShort ? path : [...path, 'targets'];
  const tiers = targets.map((entry, index) => {
    const at = [...listPath, index];
    if (!Array.isArray(entry)) return [buildTarget(entry, at, isPattern, context)];
    return entry.map((target, inner) => buildTarget(target, [...at, inner], isPattern, context));
  });
  return {
    name,
    tiers,
    patience: (isShort ? undefined : input.patience) ?? defaultPatienceMs,
    patienceGiven: !isShort && input.patience !== undefined,
    policy: isShort ? {} : gatherPolicy(input, path, context.faults),
  };
}

function buildTarget(input: TargetInput, path: Path, isPattern: boolean, context: ModelContext): TargetSpec {
  const written = typeof input === 'string' ? { target: input } : input;
  const at = typeof input === 'string' ? path : [...path, 'target'];
  const { provider, model } = splitTarget(written.target) ?? { provider: '', model: '' };
  if (!context.providerNames.has(provider)) {
    const meant = nearest(provider, context.providerNames);
    context.faults.add(at, `names a provider that is not configured${meant === null ? '' : `; did you mean ${meant}?`}`);
  } else if (model.includes('*') && !isPattern) {
    context.faults.add(at, 'must not contain *, since the name of its model has none');
  }
  for (const field of ['model', 'stream'] as const) {
    if (Object.hasOwn(written.set ?? {}, field))
      context.faults.add([...path, 'set', field], `must not set ${field}: a target cannot change it`);
    const dropped = written.drop?.indexOf(field) ?? -1;
    if (dropped >= 0) context.faults.add([...path, 'drop', dropped], `must not drop ${field}: a target cannot change it`);
  }
  const known = context.providers[provider];
  const here = known?.engine?.models;
  if (here !== undefined && model !== '' && !model.includes('*') && !Object.hasOwn(here, model)) {
    const there = Object.keys(here);
    const others = there.length === 0 ? '' : `; it has ${there.join(', ')}`;
    context.faults.add(at, `names a model that is not under providers.${provider}.models${others}`);
  }
  return {
    provider,
    model,
    weight: written.weight ?? 1,
    set: record(Object.entries(written.set ?? {}), (value) => value),
    drop: written.drop ?? [],
    equivalent: written.equivalent ?? false,
    prefill: written.prefill ?? known?.models[model]?.prefill ?? known?.prefill ?? false,
  };
}
