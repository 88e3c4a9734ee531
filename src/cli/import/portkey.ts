/** Converts a config of Portkey's gateway. */
import { isRecord } from '../../core/json.ts';
import { isPresetName, presets } from '../../gateway/config/presets.ts';
import { countOf, Draft, durationText, keyVariableOf, numberOf, recordOf, textOf, type DraftTarget, type Fields } from './draft.ts';
import { bodyFields, headersFrom, literal, readKey, readText } from './values.ts';

/** Portkey's provider names that differ from the presets. */
const PRESETS: Readonly<Record<string, string>> = {
  'azure-openai': 'azure',
  'azure-ai': 'azure',
  google: 'gemini',
  'vertex-ai': 'vertex',
  'mistral-ai': 'mistral',
  'together-ai': 'together',
  'fireworks-ai': 'fireworks',
  'x-ai': 'xai',
  'perplexity-ai': 'perplexity',
};

/** The model of a route for every name that a caller may request. */
const ANY = '*';
const NESTING_MAX = 20;

export function importPortkey(config: Fields): Draft {
  const draft = new Draft();
  const root = recordOf(snaked(config));
  if (modeOf(root) === 'conditional') addConditions(draft, root);
  else draft.route(ANY, { tiers: tiersOf(draft, root, 'config') });
  draft.note(
    'config',
    'its route serves every model name; a target without override_params.model is sent the name that the caller requests',
  );
  addPolicy(draft, root);
  return draft;
}

/** Portkey accepts camelCase and snake_case. */
function snaked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snaked);
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => {
    const own = name.replaceAll(/[a-z][A-Z]/g, (pair) => `${pair[0]}_${pair[1]!.toLowerCase()}`);
    return [own, ['override_params', 'headers', 'conditions'].includes(own) ? inner : snaked(inner)] as const;
  });
  return Object.fromEntries(entries);
}

function modeOf(node: Fields): string {
  return textOf(recordOf(node['strategy'])['mode']) ?? (targetsOf(node).length > 1 ? 'fallback' : 'single');
}

function targetsOf(node: Fields): readonly Fields[] {
  const { targets } = node;
  return Array.isArray(targets) ? targets.filter(isRecord) : [];
}

/** Settings of a node apply to the targets within it. */
function inherited(node: Fields, target: Fields): Fields {
  const params = { ...recordOf(node['override_params']), ...recordOf(target['override_params']) };
  return { ...target, ...(Object.keys(params).length === 0 ? {} : { override_params: params }) };
}

/** Fallbacks are tiers in order; a load balance is one tier with weights. */
function tiersOf(draft: Draft, node: Fields, where: string, depth = 0): DraftTarget[][] {
  if (depth > NESTING_MAX) {
    draft.note(where, `left out: nested deeper than ${NESTING_MAX} levels`);
    return [];
  }
  noteNode(draft, node, where);
  const inner = targetsOf(node).map((target, i) => [inherited(node, target), `${where}.targets[${i}]`] as const);
  if (inner.length === 0) return [[leafOf(draft, node, where)]];
  const below = inner.map(([target, at]) => ({ target, at, tiers: tiersOf(draft, target, at, depth + 1) }));
  const mode = modeOf(node);
  if (mode !== 'loadbalance') {
    if (mode === 'conditional') draft.note(where, 'its conditions are not carried over: its targets are tiers in order');
    return below.flatMap(({ tiers }) => tiers);
  }
  const tier = below.flatMap(({ target, at, tiers }) => {
    const weight = numberOf(target['weight']) ?? 1;
    if (weight <= 0) return [];
    if (tiers.length > 1) draft.note(at, 'a fallback inside a load balance is not carried over: only its first targets are in the tier');
    const [first = []] = tiers;
    const sum = first.reduce((all, one) => all + (one.weight ?? 1), 0);
    return first.map((one) => ({ ...one, weight: Number(((weight * (one.weight ?? 1)) / sum).toPrecision(6)) }));
  });
  return tier.length === 0 ? [] : [tier];
}

function noteNode(draft: Draft, node: Fields, where: string): void {
  const strategy = recordOf(node['strategy']);
  if (strategy['on_status_codes'] !== undefined)
    draft.note(`${where}.strategy.on_status_codes`, 'not carried over: which errors lead to another target is fixed (docs/failures.md)');
  for (const name of [
    'input_guardrails',
    'output_guardrails',
    'before_request_hooks',
    'after_request_hooks',
    'default_input_guardrails',
    'default_output_guardrails',
  ])
    if (node[name] !== undefined) draft.note(`${where}.${name}`, 'not carried over; policy.quality checks responses');
  if (where === 'config') return;
  for (const name of ['retry', 'cache', 'request_timeout'])
    if (node[name] !== undefined) draft.note(`${where}.${name}`, 'not carried over: it applies to single targets; set it on the provider');
}

function leafOf(draft: Draft, node: Fields, where: string): DraftTarget {
  const params = recordOf(node['override_params']);
  const [slug, given] = slugOf(textOf(params['model']));
  const deployment = textOf(node['azure_deployment_id']);
  const model = deployment ?? given ?? ANY;
  const name = draft.provider(providerOf(draft, node, slug, where));
  const set = Object.fromEntries(Object.entries(params).filter(([key]) => key !== 'model'));
  if (Object.keys(set).length > 0) draft.note(where, `override_params: ${Object.keys(set).join(', ')} are set on the target`);
  return { target: `${name}/${model}`, weight: 1, set: bodyFields(draft, set, where) };
}

/** `@slug/model` names a provider that is stored at Portkey. */
function slugOf(model: string | null): [slug: string | null, model: string | null] {
  const match = /^@([^/]+)\/(.+)$/.exec(model ?? '');
  return match === null ? [null, model] : [match[1]!, match[2]!];
}

function providerOf(draft: Draft, node: Fields, slug: string | null, where: string): { name: string; settings: Fields } {
  const named = textOf(node['provider']);
  const stored = slug ?? textOf(node['virtual_key']) ?? (named?.startsWith('@') === true ? named.slice(1) : null);
  const explicit = named !== null && !named.startsWith('@') ? named : null;
  const preset = presetOf(explicit ?? guessed(stored) ?? 'openai');
  if (explicit === null) {
    const why = stored === null ? 'no provider is named' : `${stored} is stored at Portkey`;
    draft.note(where, `${why}, and its provider is assumed to be ${preset}`);
  }
  const host = readText(draft, node['custom_host'], `the base URL of ${where}`);
  const resource = textOf(node['azure_resource_name']);
  const baseUrl = host ?? (resource === null ? null : `https://${literal(resource)}.openai.azure.com`);
  const headers = headersFrom(draft, { headers: node['headers'] }, preset);
  const isKnown = isPresetName(preset);
  if (!isKnown && baseUrl === null) draft.note(where, `Breakwater does not know the provider ${preset}: set its baseUrl`);
  return {
    name: preset,
    settings: {
      ...(isKnown
        ? {}
        : {
            protocol: 'openai',
            baseUrl: baseUrl ?? draft.variable(`${preset.toUpperCase().replaceAll(/\W+/g, '_')}_BASE_URL`, `the base URL of ${preset}`),
          }),
      ...(isKnown && baseUrl !== null ? { baseUrl } : {}),
      ...(isKnown && preset === 'azure' && baseUrl === null
        ? { baseUrl: draft.variable('AZURE_OPENAI_ENDPOINT', 'the address of the Azure resource') }
        : {}),
      ...keyOf(draft, node, preset, stored, where),
      ...cloudOf(draft, node, preset),
      ...(Object.keys(headers).length === 0 ? {} : { headers }),
    },
  };
}

function presetOf(name: string): string {
  const preset = PRESETS[name] ?? name;
  return preset === 'local' ? 'local-provider' : preset.replaceAll(/[^\w.-]+/g, '-');
}

/** `openai-prod-1a2b`: a stored key is usually named after its provider. */
function guessed(slug: string | null): string | null {
  if (slug === null) return null;
  const names = [...Object.keys(PRESETS), ...Object.keys(presets).filter((name) => name !== 'local')];
  const found = names.filter((name) => slug === name || slug.startsWith(`${name}-`) || slug.startsWith(`${name}_`));
  return found.toSorted((a, b) => b.length - a.length)[0] ?? null;
}

function keyOf(draft: Draft, node: Fields, preset: string, stored: string | null, where: string): Fields {
  const key = readKey(draft, node['api_key'], keyVariableOf(preset), `the key of ${where}`);
  if (key !== null) return { apiKey: key };
  if (node['aws_access_key_id'] !== undefined || (isPresetName(preset) && !presets[preset].needsKey)) return {};
  if (stored === null) return { apiKey: draft.variable(keyVariableOf(preset), `the key of ${preset}`) };
  const own = guessed(stored) === null ? stored : stored.slice(guessed(stored)!.length + 1);
  const suffix = own.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_');
  const name = suffix === '' ? keyVariableOf(preset) : `${keyVariableOf(preset)}_${suffix}`;
  return { apiKey: draft.variable(name, `the key that Portkey stores as ${stored}`) };
}

function cloudOf(draft: Draft, node: Fields, preset: string): Fields {
  const text = (name: string): string | null => readText(draft, node[name], name);
  if (preset === 'azure') {
    const apiVersion = text('azure_api_version');
    return apiVersion === null ? {} : { apiVersion };
  }
  if (preset === 'bedrock') {
    const accessKeyId = readKey(draft, node['aws_access_key_id'], 'AWS_ACCESS_KEY_ID', 'the ID of the AWS access key');
    const secretAccessKey = readKey(draft, node['aws_secret_access_key'], 'AWS_SECRET_ACCESS_KEY', 'the secret of the AWS access key');
    const region = text('aws_region') ?? draft.variable('AWS_REGION', 'the AWS region');
    return accessKeyId === null || secretAccessKey === null ? { region } : { region, aws: { accessKeyId, secretAccessKey } };
  }
  if (preset !== 'vertex') return {};
  const [project, location] = [text('vertex_project_id'), text('vertex_region')];
  return { ...(project === null ? {} : { project }), ...(location === null ? {} : { location }) };
}

/** Conditions on the requested model become routes; the default is the route for all other names. */
function addConditions(draft: Draft, root: Fields): void {
  const strategy = recordOf(root['strategy']);
  const named = new Map(targetsOf(root).map((target, i) => [textOf(target['name']) ?? `#${i}`, inherited(root, target)] as const));
  const conditions = Array.isArray(strategy['conditions']) ? strategy['conditions'].filter(isRecord) : [];
  const routeTo = (name: unknown, where: string): DraftTarget[][] => {
    const target = named.get(String(name));
    if (target === undefined) draft.note(where, `there is no target named ${String(name)}`);
    return target === undefined ? [] : tiersOf(draft, target, `target ${String(name)}`, 1);
  };
  for (const [i, { query, then }] of conditions.entries()) {
    const where = `config.strategy.conditions[${i}]`;
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
  const tiers = routeTo(strategy['default'], 'config.strategy.default');
  if (tiers.length > 0) draft.route(ANY, { tiers });
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

function addPolicy(draft: Draft, root: Fields): void {
  const policy: Record<string, unknown> = {};
  const retry = recordOf(root['retry']);
  const attempts = countOf(retry['attempts']);
  const tiers = [...draft.routes.values()].reduce((most, route) => Math.max(most, route.tiers.length), 1);
  if (attempts !== null) {
    policy['maxAttempts'] = Math.min(100, Math.max(attempts + 1, tiers));
    draft.note(
      'config.retry',
      `policy.maxAttempts: ${policy['maxAttempts'] as number} counts all upstream calls of a request, over all targets`,
    );
  }
  if (retry['on_status_codes'] !== undefined)
    draft.note('config.retry.on_status_codes', 'not carried over: which errors are retried is fixed (docs/failures.md)');
  const timeoutMs = numberOf(root['request_timeout']);
  if (timeoutMs !== null && timeoutMs > 0) policy['timeouts'] = { attempt: durationText(timeoutMs) };
  const cache = recordOf(root['cache']);
  const mode = textOf(cache['mode']);
  if (mode !== null) {
    const maxAge = numberOf(cache['max_age']);
    policy['cache'] = { enabled: true, ...(maxAge !== null && maxAge > 0 ? { ttl: durationText(maxAge * 1000) } : {}) };
    if (mode !== 'simple') draft.note('config.cache.mode', `${mode} is not carried over: responses are cached for equal requests only`);
  }
  if (Object.keys(policy).length > 0) draft.sections['policy'] = policy;
}
