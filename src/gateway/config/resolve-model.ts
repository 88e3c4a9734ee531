/** Resolves a requested model name to tiers of targets. */
import { splitTarget } from './build-models.ts';
import { providerNamed } from './builtin-provider.ts';
import type { Config, Frozen, ModelConfig, ProviderConfig, ProviderModelConfig, TargetSpec } from './config.ts';
import { servedAs, isModelName, isOwner, matchesPattern } from './model-names.ts';
import { defaultPatienceMs } from './model-schema.ts';
import type { PolicyOverrides } from './policy-schema.ts';

/** The rule that matched: a configured model, `provider/model`, a configured pattern, a preset, or a provider's own list. */
export type ResolvedBy = 'model' | 'target' | 'pattern' | 'preset' | 'list';

export interface ResolvedModel {
  /** The requested name. */
  readonly name: string;
  readonly by: ResolvedBy;
  /** Not empty, and no tier is empty. */
  readonly tiers: readonly (readonly TargetSpec[])[];
  /** In ms. */
  readonly patience: number;
  /** False: `patience` is the default, which does not apply before a last resort. */
  readonly patienceGiven: boolean;
  /** The overrides of the model. */
  readonly policy: Frozen<PolicyOverrides>;
}

/** The latest `/models` list of each provider, by provider name; providers without one yet are absent. */
export type ModelLists = ReadonlyMap<string, ReadonlySet<string>>;

/** What `resolveModel` reads of a provider. */
type NamingProvider = Pick<ProviderConfig, 'name' | 'preset' | 'prefill'> & {
  readonly models: Readonly<Record<string, Pick<ProviderModelConfig, 'prefill'>>>;
};

/** What `resolveModel` reads of a configuration: no keys, no addresses. */
export interface NamingConfig {
  readonly models: Config['models'];
  readonly providers: Readonly<Record<string, NamingProvider>>;
}

/** Resolves a name by the first rule that matches; null: unknown. Pure. */
export function resolveModel(config: NamingConfig, name: string, lists: ModelLists = new Map()): ResolvedModel | null {
  if (!isModelName(name)) return null;
  const configured = name.includes('*') ? undefined : config.models[name];
  if (configured !== undefined) return fromModel(name, 'model', configured, configured.tiers);

  const direct = splitTarget(name);
  const provider = direct === null ? undefined : providerNamed(config.providers, direct.provider);
  if (direct !== null && provider !== undefined) return fromTiers(name, 'target', [[targetOf(provider, direct.model)]]);

  return (
    fromPattern(config.models, name) ??
    fromTiers(name, 'preset', presetTiers(Object.values(config.providers), name, lists)) ??
    fromTiers(name, 'list', listTiers(Object.values(config.providers), name, lists))
  );
}

function fromModel(name: string, by: ResolvedBy, model: ModelConfig, tiers: ResolvedModel['tiers']): ResolvedModel {
  return { name, by, tiers, patience: model.patience, patienceGiven: model.patienceGiven, policy: model.policy };
}

function fromTiers(name: string, by: ResolvedBy, tiers: readonly (readonly TargetSpec[])[]): ResolvedModel | null {
  const filled = tiers.filter((tier) => tier.length > 0);
  return filled.length === 0 ? null : { name, by, tiers: filled, patience: defaultPatienceMs, patienceGiven: false, policy: {} };
}

function targetOf(provider: NamingProvider, model: string): TargetSpec {
  return {
    provider: provider.name,
    model,
    weight: 1,
    set: {},
    drop: [],
    equivalent: false,
    prefill: provider.models[model]?.prefill ?? provider.prefill,
  };
}

/** The longest pattern wins; among equals the one with the longer prefix, then the first. */
function fromPattern(models: Config['models'], name: string): ResolvedModel | null {
  let best: { model: ModelConfig; tiers: ResolvedModel['tiers']; head: number } | null = null;
  for (const model of Object.values(models)) {
    const [head = '', tail] = model.name.split('*');
    if (tail === undefined || !matchesPattern(model.name, name)) continue;
    const isBetter = best === null || model.name.length > best.model.name.length;
    if (!isBetter && (model.name.length < best!.model.name.length || head.length <= best!.head)) continue;
    const tiers = carryOver(model.tiers, name.slice(head.length, name.length - tail.length));
    if (tiers !== null) best = { model, tiers, head: head.length };
  }
  return best === null ? null : fromModel(name, 'pattern', best.model, best.tiers);
}

/** The tiers with `*` replaced by the matched text; null: a target would have no model. */
function carryOver(tiers: ModelConfig['tiers'], matched: string): ModelConfig['tiers'] | null {
  const carried = tiers.map((tier) => tier.map((target) => ({ ...target, model: target.model.replaceAll('*', () => matched) })));
  return carried.some((tier) => tier.some((target) => target.model === '')) ? null : carried;
}

/** The model's makers, then providers known to serve it. A provider's own list takes precedence over its preset. */
function presetTiers(providers: readonly NamingProvider[], name: string, lists: ModelLists): TargetSpec[][] {
  const owners: TargetSpec[] = [];
  const carriers: TargetSpec[] = [];
  for (const provider of providers) {
    if (provider.preset === null) continue;
    if (isOwner(provider.preset, name)) {
      owners.push(targetOf(provider, name));
      continue;
    }
    const carried = servedAs(provider.preset, name);
    if (carried !== null && (lists.get(provider.name)?.has(carried) ?? true)) carriers.push(targetOf(provider, carried));
  }
  return [owners, carriers];
}

/** Providers that list the model, or whose config names it, in the order written. */
function listTiers(providers: readonly NamingProvider[], name: string, lists: ModelLists): TargetSpec[][] {
  return providers
    .filter((provider) => lists.get(provider.name)?.has(name) === true || provider.models[name] !== undefined)
    .map((provider) => [targetOf(provider, name)]);
}

/**
 * Whether a client with this `models` list may request the name; null allows everything. `provider/model` is allowed only by an entry
 * that contains a `/` itself, or is `*`.
 */
export function isModelAllowed(allowed: readonly string[] | null, name: string, providers: Config['providers']): boolean {
  if (allowed === null) return true;
  const isDirect = name.includes('/') && providerNamed(providers, name.slice(0, name.indexOf('/'))) !== undefined;
  return allowed.some((pattern) => matchesPattern(pattern, name) && (!isDirect || pattern === '*' || pattern.includes('/')));
}
