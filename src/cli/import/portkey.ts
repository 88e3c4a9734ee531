/** Converts a config of Portkey's gateway. */
import { isRecord } from '../../core/json.ts';
import { countOf, Draft, durationText, numberOf, recordOf, textOf, type DraftTarget, type Fields } from './draft.ts';
import { attemptPolicy, timeoutPolicy } from './policy.ts';
import { deploymentOf, providerOf } from './portkey-provider.ts';
import { Settings } from './settings.ts';
import { bodyFields } from './values.ts';

/** The model of a route for every name that a caller may request. */
const ANY = '*';
const NESTING_MAX = 20;

/** Settings of a group that apply to the targets within it, unless they have their own. */
const INHERITED = ['custom_host', 'forward_headers'];
/** Names and labels, which have no effect by themselves; the weight of a target is read where its group shares by weight. */
const LABELS = ['name', 'id', 'index', 'weight'];

const RETRIES_ARE_FIXED = 'which errors are retried, and which lead to another target, is fixed (docs/failures.md)';
const ON_THE_PROVIDER = 'it applies to single targets; set it on the provider';
const HINTS: Readonly<Record<string, string>> = {
  on_status_codes: RETRIES_ARE_FIXED,
  ...Object.fromEntries(['retry', 'cache', 'request_timeout'].map((name) => [name, ON_THE_PROVIDER])),
  ...Object.fromEntries(
    ['input_guardrails', 'output_guardrails', 'default_input_guardrails', 'default_output_guardrails']
      .concat('before_request_hooks', 'after_request_hooks')
      .map((name) => [name, 'policy.quality checks responses']),
  ),
  aws_role_arn: 'set a profile that assumes the role: aws.profile',
  metadata: 'see telemetry for logs, metrics and traces',
};

/** A config, or a target within it. */
interface Node {
  readonly settings: Settings;
  readonly strategy: Settings;
  readonly mode: string;
  readonly targets: readonly Fields[];
  /** Its place in the source. */
  readonly where: string;
}

export function importPortkey(config: Fields): Draft {
  const draft = new Draft();
  const root = nodeOf(recordOf(snaked(config)), 'config');
  if (root.mode === 'conditional') addConditions(draft, root);
  else draft.route(ANY, { tiers: tiersOf(draft, root) });
  draft.note(
    'config',
    'its route serves every model name; a target without override_params.model is sent the name that the caller requests',
  );
  addPolicy(draft, root.settings);
  noteRest(draft, root);
  return draft;
}

function nodeOf(fields: Fields, where: string): Node {
  const settings = new Settings(fields);
  const [strategy, given] = [new Settings(settings.get('strategy')), settings.get('targets')];
  const targets = Array.isArray(given) ? given.filter(isRecord) : [];
  settings.ignore(LABELS);
  return { settings, strategy, where, targets, mode: textOf(strategy.get('mode')) ?? (targets.length > 1 ? 'fallback' : 'single') };
}

/** Portkey accepts camelCase and snake_case. */
function snaked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snaked);
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => {
    const own = name.replaceAll(/[a-z][A-Z]/g, (pair) => `${pair[0]}_${pair[1]!.toLowerCase()}`);
    return [
      own,
      ['override_params', 'headers', 'conditions', 'vertex_service_account_json', 'metadata'].includes(own) ? inner : snaked(inner),
    ] as const;
  });
  return Object.fromEntries(entries);
}

/** A target of the node, with the settings that it inherits. */
function childOf({ settings, where }: Node, target: Fields, at: string = where): Node {
  const params = { ...recordOf(settings.get('override_params')), ...recordOf(target['override_params']) };
  return nodeOf({ ...settings.pick(INHERITED), ...target, override_params: params }, at);
}

/** Fallbacks are tiers in order; a load balance is one tier with weights. */
function tiersOf(draft: Draft, node: Node, depth = 0): DraftTarget[][] {
  const { mode, where } = node;
  if (depth > NESTING_MAX) {
    draft.note(where, `left out: nested deeper than ${NESTING_MAX} levels`);
    return [];
  }
  if (node.targets.length === 0) return [[leafOf(draft, node)]];
  const used = mode === 'single' ? node.targets.slice(0, 1) : node.targets;
  for (const i of node.targets.keys())
    if (i >= used.length) draft.note(`${where}.targets[${i}]`, 'left out: the strategy is single, which uses the first target only');
  const below = used.map((target, i) => {
    const child = childOf(node, target, `${where}.targets[${i}]`);
    const tiers = tiersOf(draft, child, depth + 1);
    noteRest(draft, child);
    return { target, at: child.where, tiers };
  });
  if (mode !== 'loadbalance') {
    if (mode === 'conditional') draft.note(where, 'its conditions are not carried over: its targets are tiers in order');
    return below.flatMap(({ tiers }) => tiers);
  }
  const tier = below.flatMap(({ target, at, tiers }) => {
    const weight = numberOf(target['weight']) ?? 1;
    if (weight <= 0) {
      draft.note(at, 'left out: its weight is 0');
      return [];
    }
    if (tiers.length > 1) draft.note(at, 'a fallback inside a load balance is not carried over: only its first targets are in the tier');
    const [first = []] = tiers;
    const sum = first.reduce((all, one) => all + (one.weight ?? 1), 0);
    return first.map((one) => ({ ...one, weight: Number(((weight * (one.weight ?? 1)) / sum).toPrecision(6)) }));
  });
  return tier.length === 0 ? [] : [tier];
}

/** Names the settings that nothing has read. */
function noteRest(draft: Draft, { settings, strategy, where, mode }: Node): void {
  if (mode === 'conditional') strategy.ignore(['conditions', 'default']);
  noteUnread(draft, settings, where);
  noteUnread(draft, strategy, `${where}.strategy`);
}

function noteUnread(draft: Draft, settings: Settings, where: string): void {
  for (const [name] of settings.unread()) {
    const hint = HINTS[name] === undefined ? '' : `: ${HINTS[name]}`;
    draft.note(`${where}.${name}`, `not carried over${hint}`);
  }
}

function leafOf(draft: Draft, { settings, where }: Node): DraftTarget {
  const params = recordOf(settings.get('override_params'));
  const [slug, given] = slugOf(textOf(params['model']));
  const name = draft.provider(providerOf(draft, settings, slug, where));
  const set = Object.fromEntries(Object.entries(params).filter(([key]) => key !== 'model'));
  if (Object.keys(set).length > 0) draft.note(where, `override_params: ${Object.keys(set).join(', ')} are set on the target`);
  return { target: `${name}/${deploymentOf(settings) ?? given ?? ANY}`, weight: 1, set: bodyFields(draft, set, where) };
}

/** `@slug/model` names a provider that is stored at Portkey. */
function slugOf(model: string | null): [slug: string | null, model: string | null] {
  const match = /^@([^/]+)\/(.+)$/.exec(model ?? '');
  return match === null ? [null, model] : [match[1]!, match[2]!];
}

/** Conditions on the requested model become routes; the default is the route for all other names. */
function addConditions(draft: Draft, root: Node): void {
  const { strategy, targets } = root;
  const unused = new Map(targets.map((target, i) => [textOf(target['name']) ?? `#${i}`, `${root.where}.targets[${i}]`]));
  const named = new Map(targets.map((target, i) => [textOf(target['name']) ?? `#${i}`, target]));
  const given = strategy.get('conditions');
  const routeTo = (name: unknown, where: string): DraftTarget[][] => {
    const target = named.get(String(name));
    if (target === undefined) draft.note(where, `there is no target named ${String(name)}`);
    if (target === undefined) return [];
    unused.delete(String(name));
    const child = childOf(root, target, `target ${String(name)}`);
    const tiers = tiersOf(draft, child, 1);
    noteRest(draft, child);
    return tiers;
  };
  for (const [i, { query, then }] of (Array.isArray(given) ? given.filter(isRecord) : []).entries()) {
    const where = `${root.where}.strategy.conditions[${i}]`;
    const models = modelsIn(recordOf(query));
    if (models === null)
      draft.note(
        where,
        'not carried over: only conditions that compare params.model with $eq or $in are; a request for its target uses another model name',
      );
    for (const model of models ?? []) {
      const tiers = routeTo(then, where).map((tier) => tier.map((one) => ({ ...one, target: one.target.replace(/\/\*$/, `/${model}`) })));
      if (tiers.length > 0 && !draft.hasRoute(model)) draft.route(model, { tiers });
    }
  }
  const tiers = routeTo(strategy.get('default'), `${root.where}.strategy.default`);
  if (tiers.length > 0) draft.route(ANY, { tiers });
  for (const [name, where] of unused) draft.note(where, `left out: no condition that is carried over selects ${name}`);
}

function modelsIn(query: Fields): string[] | null {
  const names = Object.keys(query);
  const condition = query['params.model'];
  if (names.length !== 1 || condition === undefined) return null;
  if (typeof condition === 'string') return [condition];
  const { $eq: equal, $in: among, ...others } = recordOf(condition);
  if (Object.keys(others).length > 0) return null;
  if (typeof equal === 'string') return [equal];
  return Array.isArray(among) && among.every((one) => typeof one === 'string') ? among : null;
}

function addPolicy(draft: Draft, root: Settings): void {
  const [retry, cache] = [new Settings(root.get('retry')), new Settings(root.get('cache'))];
  // A wait that the provider requests is honoured in any case.
  retry.ignore(['use_retry_after_header', 'use_retry_after_headers']);
  const timeoutMs = numberOf(root.get('request_timeout'));
  const attemptMs = timeoutMs !== null && timeoutMs > 0 ? timeoutMs : null;
  const policy = {
    ...attemptPolicy(draft, 'config.retry', countOf(retry.get('attempts'))),
    ...timeoutPolicy(draft, 'config.request_timeout', { attemptMs, firstContentMs: null }),
    ...cachePolicy(draft, cache),
  };
  noteUnread(draft, retry, 'config.retry');
  noteUnread(draft, cache, 'config.cache');
  if (Object.keys(policy).length > 0) draft.sections['policy'] = policy;
}

function cachePolicy(draft: Draft, cache: Settings): Fields {
  const mode = textOf(cache.get('mode'));
  if (mode === null) return {};
  const maxAge = numberOf(cache.get('max_age'));
  if (mode !== 'simple') draft.note('config.cache.mode', `${mode} is not carried over: responses are cached for equal requests only`);
  return { cache: { enabled: true, ...(maxAge !== null && maxAge > 0 ? { ttl: durationText(maxAge * 1000) } : {}) } };
}
