/** Converts lists of models as OpenRouter has them: a request body with `models`, its model list, or names, one per line. */
import { isRecord } from '../../core/json.ts';
import { Draft, recordOf, textOf, type Fields } from './draft.ts';
import { attemptPolicy } from './policy.ts';

/** The route for callers of a request body's list. */
const ROUTE = 'default';

export function importOpenrouter(value: unknown): Draft {
  const draft = new Draft();
  const provider = draft.provider({
    name: 'openrouter',
    settings: { apiKey: draft.variable('OPENROUTER_API_KEY', 'the key of OpenRouter') },
  });
  const body = recordOf(value);
  if (Array.isArray(body['models'])) {
    addFallbacks(draft, provider, body);
    return draft;
  }
  const list = Array.isArray(value) ? value : Array.isArray(body['data']) ? body['data'] : String(value).split('\n');
  const names = list.flatMap((one) => textOf(isRecord(one) ? (one['id'] ?? one['model'] ?? one['slug']) : one) ?? []);
  for (const name of names) {
    if (name.startsWith('#')) continue;
    if (/^[^\s/]+\/\S+$/.test(name)) draft.route(name, { tiers: [[{ target: `${provider}/${name}` }]] });
    else draft.note(name.slice(0, 60), 'left out: not a name of the form maker/model');
  }
  return draft;
}

/** `models` are tried in order; preferences of providers are sent along. */
function addFallbacks(draft: Draft, provider: string, body: Fields): void {
  const preferences = recordOf(body['provider']);
  const set = Object.keys(preferences).length === 0 ? {} : { provider: preferences };
  const own = textOf(body['model']);
  const models = [...(own === null ? [] : [own]), ...(body['models'] as unknown[]).flatMap((one) => textOf(one) ?? [])];
  const tiers = [...new Set(models)].map((model) => [{ target: `${provider}/${model}`, set }]);
  draft.route(ROUTE, { tiers });
  const policy = attemptPolicy(draft, 'models', null);
  if (Object.keys(policy).length > 0) draft.sections['policy'] = policy;
  draft.note('models', `the route is named ${ROUTE}; Breakwater itself goes to the next model when one fails`);
  const rest = Object.keys(body).filter((name) => !['model', 'models', 'provider', 'route', 'messages', 'stream'].includes(name));
  if (rest.length > 0) draft.note('request', `not carried over: ${rest.join(', ')}`);
}
