/** Converts the config of a LiteLLM proxy. */
import { isRecord } from '../../core/json.ts';
import { Draft, durationText, recordOf, textOf, type DraftTarget, type Fields } from './draft.ts';
import { readDeployment, type Deployment } from './litellm-deployment.ts';
import { DEFAULT_DEADLINE_MS, addSettings, raiseDeadlines } from './litellm-settings.ts';

export function importLitellm(config: Fields): Draft {
  const draft = new Draft();
  draft.reserve([...JSON.stringify(config).matchAll(/os\.environ\/([A-Za-z_]\w*)/g)].map((match) => match[1]!));
  const credentials = credentialsOf(config);
  const list = Array.isArray(config['model_list']) ? config['model_list'] : [];
  const groups = new Map<string, Deployment[]>();
  for (const [i, entry] of list.entries()) {
    const where = `model_list[${i}]`;
    const name = isRecord(entry) ? textOf(entry['model_name']) : null;
    if (!isRecord(entry) || name === null) {
      draft.note(where, 'left out: it has no model_name');
      continue;
    }
    const deployment = readDeployment(draft, entry, `${where} (${name})`, credentials);
    if (deployment !== null) groups.set(name, [...(groups.get(name) ?? []), deployment]);
  }
  for (const [name, deployments] of groups) draft.route(name, { tiers: tiersOf(draft, name, deployments) });
  const fallbacks = addFallbacks(draft, config, groups);
  for (const [name, deployments] of groups) {
    const all = [...deployments, ...(fallbacks.get(name) ?? [])];
    draft.route(name, { ...draft.routeOf(name)!, policy: policyOf(draft, name, all) });
  }
  addAliases(draft, config);
  addSettings(draft, config);
  return draft;
}

function credentialsOf({ credential_list: list }: Fields): ReadonlyMap<string, Fields> {
  const named = Array.isArray(list) ? list.filter(isRecord) : [];
  return new Map(named.map((one) => [String(one['credential_name']), recordOf(one['credential_values'])]));
}

/** Deployments in one tier, or by their `order`. Equal targets are one, with the sum of their weights. */
function tiersOf(draft: Draft, name: string, deployments: readonly Deployment[]): DraftTarget[][] {
  const orders = [...new Set(deployments.map(({ order }) => order))].toSorted((a, b) => a - b);
  return orders.map((order) => {
    const members = deployments.filter((one) => one.order === order);
    const weights = weightsOf(members);
    const tier = new Map<string, DraftTarget>();
    for (const [i, { target }] of members.entries()) {
      if (weights[i] === 0) {
        draft.note(`model ${name}`, `${target.target} is left out: its weight is 0`);
        continue;
      }
      const key = JSON.stringify([target.target, target.set, target.drop]);
      const before = tier.get(key);
      if (before !== undefined)
        draft.note(`model ${name}`, `${target.target} is listed twice with the same address and key, and is one target here`);
      tier.set(key, { ...target, weight: (before?.weight ?? 0) + weights[i]! });
    }
    const shared = [...tier.values()];
    return shared.every(({ weight }) => weight === shared[0]!.weight) ? shared.map((one) => ({ ...one, weight: 1 })) : shared;
  });
}

/** As LiteLLM's simple shuffle: by the first of weight, rpm and tpm that the first deployment has; of one without it, 0. */
function weightsOf(members: readonly Deployment[]): number[] {
  for (const read of [(one: Deployment) => one.weight, (one: Deployment) => one.rpm, (one: Deployment) => one.tpm]) {
    if (read(members[0]!) === null) continue;
    const weights = members.map((one) => read(one) ?? 0);
    if (weights.some((weight) => weight > 0)) return weights;
  }
  return members.map(() => 1);
}

type Groups = ReadonlyMap<string, readonly Deployment[]>;

/** A route has one timeout for all its deployments, fallbacks included: the longest, if every one has its own. */
function policyOf(draft: Draft, name: string, deployments: readonly Deployment[]): Fields {
  const longest = (what: string, of: (one: Deployment) => number | null): number => {
    const known = deployments.map(of).filter((ms) => ms !== null);
    if (known.length === 0) return 0;
    const most = Math.max(...known);
    const isForAll = known.length === deployments.length;
    if (!isForAll || known.some((ms) => ms !== most))
      draft.note(
        `model ${name}`,
        `the ${what} of its deployments differ: ${isForAll ? `each has the longest, ${durationText(most)}` : 'none is carried over'}`,
      );
    return isForAll ? most : 0;
  };
  const [attempt, firstContent] = [longest('timeouts', (one) => one.timeoutMs), longest('stream timeouts', (one) => one.streamTimeoutMs)];
  const timeouts = {
    ...(attempt > 0 ? { attempt: durationText(attempt) } : {}),
    ...(firstContent > 0 ? { firstContent: durationText(firstContent) } : {}),
  };
  raiseDeadlines(draft, attempt);
  return {
    ...(Object.keys(timeouts).length === 0 ? {} : { timeouts }),
    ...(attempt > DEFAULT_DEADLINE_MS ? { deadline: durationText(attempt) } : {}),
  };
}

const FALLBACKS = ['fallbacks', 'context_window_fallbacks', 'content_policy_fallbacks'] as const;

/** A deployment without a mode is one for chat. */
function isChat({ mode }: Deployment): boolean {
  return mode === null || ['chat', 'completion', 'responses'].includes(mode);
}

/** The targets of fallback groups become lower tiers; those of all models, of models for chat only. Returns the added deployments. */
function addFallbacks(draft: Draft, config: Fields, groups: Groups): ReadonlyMap<string, readonly Deployment[]> {
  const before = new Map(draft.routes);
  const chats = [...groups].flatMap(([name, list]) => (list.every(isChat) ? [name] : []));
  const added = new Map<string, Deployment[]>();
  const onAdded = (name: string, other: string): void => {
    added.set(name, [...(added.get(name) ?? []), ...(groups.get(other) ?? [])]);
  };
  for (const section of ['router_settings', 'litellm_settings']) {
    const settings = recordOf(config[section]);
    for (const kind of FALLBACKS) {
      for (const [name, others] of pairsOf(settings[kind]))
        addTiers({ draft, routes: before, onAdded }, `${section}.${kind}`, kind, name, others);
    }
    const general = settings['default_fallbacks'];
    if (!Array.isArray(general)) continue;
    for (const name of chats) {
      addTiers({ draft, routes: before, onAdded }, `${section}.default_fallbacks`, 'fallbacks', name, general.map(String));
    }
  }
  return added;
}

interface Routes {
  readonly draft: Draft;
  /** Before any fallback was added. */
  readonly routes: ReadonlyMap<string, { readonly tiers: readonly (readonly DraftTarget[])[]; readonly policy?: Fields }>;
  readonly onAdded: (name: string, other: string) => void;
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
  { draft, routes, onAdded }: Routes,
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
      else onAdded(one, other);
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
  return JSON.stringify(a) === JSON.stringify(b);
}

function addAliases(draft: Draft, config: Fields): void {
  for (const section of ['router_settings', 'litellm_settings']) {
    for (const [alias, value] of Object.entries(recordOf(recordOf(config[section])['model_group_alias']))) {
      const route = draft.routeOf(nameOf(value));
      if (route === undefined) draft.note(`${section}.model_group_alias.${alias}`, `${nameOf(value)} is not in model_list`);
      else if (!draft.hasRoute(alias)) draft.route(alias, route);
    }
  }
}
