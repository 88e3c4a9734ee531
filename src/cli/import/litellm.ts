/** Converts the config of a LiteLLM proxy. */
import { isRecord } from '../../core/json.ts';
import { Draft, recordOf, textOf, type DraftRoute, type DraftTarget, type Fields } from './draft.ts';
import { readDeployment, type Deployment } from './litellm-deployment.ts';
import { addSettings, globalTimeouts, readSections, type Sections } from './litellm-settings.ts';
import { addRouteTimeouts, longerOf } from './route-timeouts.ts';
import { Settings } from './settings.ts';

export function importLitellm(config: Fields): Draft {
  const draft = new Draft();
  draft.reserve([...JSON.stringify(config).matchAll(/os\.environ\/([A-Za-z_]\w*)/g)].map((match) => match[1]!));
  const sections = readSections(config);
  const credentials = credentialsOf(config);
  const list = Array.isArray(config['model_list']) ? config['model_list'] : [];
  const groups = new Map<string, Deployment[]>();
  for (const [i, entry] of list.entries()) {
    const where = `model_list[${i}]`;
    const settings = new Settings(entry);
    const name = textOf(settings.get('model_name'));
    if (name === null) {
      draft.note(where, 'left out: it has no model_name');
      continue;
    }
    const deployment = readDeployment(draft, settings, `${where} (${name})`, credentials);
    if (deployment !== null) groups.set(name, [...(groups.get(name) ?? []), deployment]);
  }
  const hasWeights = isShuffle(sections);
  for (const [name, deployments] of groups) draft.route(name, { tiers: tiersOf(draft, name, deployments, hasWeights) });
  addFallbacks(
    draft,
    sections,
    [...groups].flatMap(([name, members]) => (members.every(isChat) ? [name] : [])),
  );
  addRouteTimeouts(draft, globalTimeouts(draft, sections));
  addAliases(draft, sections);
  addSettings(draft, config, sections);
  return draft;
}

/** Only LiteLLM's default strategy has weights. */
function isShuffle({ router_settings: router }: Sections): boolean {
  return (textOf(router.get('routing_strategy')) ?? 'simple-shuffle') === 'simple-shuffle';
}

function credentialsOf({ credential_list: list }: Fields): ReadonlyMap<string, Fields> {
  const named = Array.isArray(list) ? list.filter(isRecord) : [];
  return new Map(named.map((one) => [String(one['credential_name']), recordOf(one['credential_values'])]));
}

/** Deployments in one tier, or by their `order`; those of weight 0 are a tier below the others of their order. */
function tiersOf(draft: Draft, name: string, deployments: readonly Deployment[], hasWeights: boolean): DraftTarget[][] {
  const orders = [...new Set(deployments.map(({ order }) => order))].toSorted((a, b) => a - b);
  return orders.flatMap((order) => {
    const members = deployments.filter((one) => one.order === order);
    const weights = weightsOf(members, hasWeights);
    const tier = new Map<string, DraftTarget>();
    for (const [i, { target }] of members.entries()) {
      const key = identityOf(target);
      const before = tier.get(key);
      if (before !== undefined)
        draft.note(`model ${name}`, `${target.target} is listed twice with the same address and key, and is one target here`);
      const timeouts = longerOf(before?.timeouts ?? target.timeouts!, target.timeouts!);
      tier.set(key, { ...target, timeouts, weight: (before?.weight ?? 0) + weights[i]! });
    }
    const shared = [...tier.values()].filter(({ weight }) => weight! > 0);
    const spare = [...tier.values()].filter(({ weight }) => weight === 0);
    for (const { target } of spare)
      draft.note(
        `model ${name}`,
        `${target} has the weight 0, and is in a tier below: it is used when the others can't be; remove it to leave it unused`,
      );
    return [shared, spare].filter((one) => one.length > 0).map(withoutEqualWeights);
  });
}

function withoutEqualWeights(tier: readonly DraftTarget[]): DraftTarget[] {
  return tier.every(({ weight }) => weight === tier[0]!.weight) ? tier.map((one) => ({ ...one, weight: 1 })) : [...tier];
}

/**
 * As LiteLLM's simple shuffle: by weight, else by rpm, else by tpm, whichever the first deployment has; a deployment without it counts as 0.
 * For other strategies, only what every deployment has.
 */
function weightsOf(members: readonly Deployment[], isShuffled: boolean): number[] {
  for (const read of [(one: Deployment) => one.weight, (one: Deployment) => one.rpm, (one: Deployment) => one.tpm]) {
    const weights = members.map((one) => Math.max(0, read(one) ?? 0));
    const applies = isShuffled ? read(members[0]!) !== null && weights.some((weight) => weight > 0) : weights.every((weight) => weight > 0);
    if (applies) return weights;
  }
  return members.map(() => 1);
}

const FALLBACKS = ['fallbacks', 'context_window_fallbacks', 'content_policy_fallbacks'] as const;

/** A deployment without a mode is one for chat. */
function isChat({ mode }: Deployment): boolean {
  return mode === null || ['chat', 'completion', 'responses'].includes(mode);
}

/** The targets of fallback groups become lower tiers; those of all models, of `chats` only. */
function addFallbacks(draft: Draft, sections: Sections, chats: readonly string[]): void {
  const before = new Map(draft.routes);
  for (const section of ['router_settings', 'litellm_settings'] as const) {
    const settings = sections[section];
    for (const kind of FALLBACKS) {
      for (const [name, others] of pairsOf(settings.get(kind))) addTiers(draft, before, `${section}.${kind}`, kind, name, others);
    }
    const general = settings.get('default_fallbacks');
    if (!Array.isArray(general)) continue;
    for (const name of chats) addTiers(draft, before, `${section}.default_fallbacks`, 'fallbacks', name, general.map(String));
  }
}

/** `[{ a: [b, c] }]`, or an object. */
function pairsOf(value: unknown): [string, string[]][] {
  const records = Array.isArray(value) ? value.filter(isRecord) : isRecord(value) ? [value] : [];
  return records.flatMap((record) =>
    Object.entries(record).map(([name, others]): [string, string[]] => [name, (Array.isArray(others) ? others : [others]).map(nameOf)]),
  );
}

function nameOf(value: unknown): string {
  return isRecord(value) ? String(value['model']) : String(value);
}

function addTiers(
  draft: Draft,
  routes: ReadonlyMap<string, DraftRoute>,
  where: string,
  kind: (typeof FALLBACKS)[number],
  name: string,
  others: readonly string[],
): void {
  if (kind === 'content_policy_fallbacks')
    return draft.note(`${where} ${name}`, 'not carried over; policy.quality.rejectRefusal: true tries the next target after a refusal');
  const names = name === '*' ? [...routes.keys()].filter((one) => !others.includes(one)) : [name];
  for (const one of names) {
    const route = draft.routeOf(one);
    if (route === undefined) {
      draft.note(where, `${one} is not in model_list, and its fallbacks are left out`);
      continue;
    }
    const tiers = [...route.tiers];
    for (const other of others) {
      const added = routes.get(other)?.tiers;
      if (added === undefined) draft.note(where, `${other}, a fallback of ${one}, is not in model_list, and is left out`);
      for (const tier of added ?? []) if (!tiers.some((known) => isSame(known, tier))) tiers.push(tier);
    }
    draft.route(one, { ...route, tiers });
    if (kind === 'context_window_fallbacks')
      draft.note(
        `${where} ${one}`,
        'they are the last tiers: a prompt that exceeds the context of a target is sent to the next one, and so is a failed request',
      );
  }
}

function isSame(a: readonly DraftTarget[], b: readonly DraftTarget[]): boolean {
  const written = (tier: readonly DraftTarget[]): string => JSON.stringify(tier.map((one) => [identityOf(one), one.weight]));
  return written(a) === written(b);
}

function identityOf({ target, set, drop }: DraftTarget): string {
  return JSON.stringify([target, set, drop]);
}

function addAliases(draft: Draft, sections: Sections): void {
  for (const section of ['router_settings', 'litellm_settings'] as const) {
    for (const [alias, value] of Object.entries(recordOf(sections[section].get('model_group_alias')))) {
      const route = draft.routeOf(nameOf(value));
      if (route === undefined) draft.note(`${section}.model_group_alias.${alias}`, `${nameOf(value)} is not in model_list`);
      else if (!draft.hasRoute(alias)) draft.route(alias, route);
    }
  }
}
