/** Converts LiteLLM's sections of settings. */
import { isRecord } from '../../core/json.ts';
import { countOf, durationText, numberOf, recordOf, secondsOf, textOf, type Draft, type Fields } from './draft.ts';
import { readKey, variableIn } from './values.ts';

const MASTER_KEY = 'LITELLM_MASTER_KEY';
const DEFAULT_DEADLINE_MS = 600_000;
const DEFAULT_MAX_DEADLINE_MS = 3_600_000;

/** Settings handled elsewhere, and those whose default behaviour in Breakwater is what they ask for. */
const DONE: Readonly<Record<string, ReadonlySet<string>>> = {
  router_settings: new Set(
    'fallbacks context_window_fallbacks content_policy_fallbacks default_fallbacks model_group_alias num_retries timeout stream_timeout allowed_fails cooldown_time enable_pre_call_checks routing_strategy redis_host redis_port redis_password redis_url retry_after'.split(
      ' ',
    ),
  ),
  litellm_settings: new Set(
    'fallbacks context_window_fallbacks content_policy_fallbacks default_fallbacks model_group_alias num_retries request_timeout cache cache_params allowed_fails cooldown_time drop_params set_verbose max_budget budget_duration json_logs'.split(
      ' ',
    ),
  ),
  general_settings: new Set(['master_key', 'global_max_parallel_requests']),
};

const HINTS: Readonly<Record<string, string>> = {
  database_url:
    'keys, teams and budgets in its database are not carried over: list clients with their keys, limits and budgets under clients',
  store_model_in_db: 'models in its database are not carried over: only those of the file',
  success_callback: 'see telemetry for logs, metrics and traces',
  failure_callback: 'see telemetry for logs, metrics and traces',
  callbacks: 'see telemetry for logs, metrics and traces',
  alerting: 'see docs/metrics.md for alerts',
  pass_through_endpoints: 'see server.passThrough',
  max_parallel_requests: 'see limits.concurrency of a provider or client',
  custom_auth: 'requests are authenticated by the keys under clients',
  default_team_settings: 'there are no teams: see clients',
  retry_policy: 'the retries of each error are fixed: see docs/failures.md',
  allowed_fails_policy: 'which errors count is fixed: see docs/failures.md',
  enable_tag_filtering: 'routing by tags has no counterpart; give the deployments model names of their own',
  provider_budget_config: 'see clients[].budget',
};

export function addSettings(draft: Draft, config: Fields): void {
  const [router, litellm] = [recordOf(config['router_settings']), recordOf(config['litellm_settings'])];
  addRetries(draft, router, litellm);
  addTimeouts(draft, router, litellm);
  addBreaker(draft, router, litellm);
  addCache(draft, litellm);
  addKeys(draft, recordOf(config['general_settings']), litellm);
  noteStrategy(draft, router);
  noteRedis(draft, router, litellm);
  noteEnvironment(draft, config['environment_variables']);
  noteRest(draft, config);
}

function policy(draft: Draft, more: Fields): void {
  draft.sections['policy'] = { ...recordOf(draft.sections['policy']), ...more };
}

/** A request may reach its last tier, and be retried as often as before. */
function addRetries(draft: Draft, router: Fields, litellm: Fields): void {
  const retries = numberOf(router['num_retries'] ?? litellm['num_retries']);
  if (retries === null || retries < 0) return;
  const tiers = [...draft.routes.values()].reduce((most, route) => Math.max(most, route.tiers.length), 1);
  const maxAttempts = Math.min(100, Math.max(1, Math.round(retries) + 1, tiers));
  policy(draft, { maxAttempts });
  draft.note('num_retries', `policy.maxAttempts: ${maxAttempts} counts all upstream calls of a request, over all targets and tiers`);
}

/** Both limit one attempt; a deadline for the whole request, queueing included, is Breakwater's own. */
function addTimeouts(draft: Draft, router: Fields, litellm: Fields): void {
  const attempt = secondsOf(router['timeout'] ?? litellm['request_timeout']);
  const firstContent = secondsOf(router['stream_timeout']);
  const timeouts = { ...(attempt === null ? {} : { attempt }), ...(firstContent === null ? {} : { firstContent }) };
  if (Object.keys(timeouts).length === 0) return;
  policy(draft, { timeouts });
  const attemptMs = (numberOf(router['timeout'] ?? litellm['request_timeout']) ?? 0) * 1000;
  if (attemptMs > DEFAULT_DEADLINE_MS) policy(draft, { deadline: durationText(attemptMs) });
  if (attemptMs > DEFAULT_MAX_DEADLINE_MS) policy(draft, { maxDeadline: durationText(attemptMs) });
}

function addBreaker(draft: Draft, router: Fields, litellm: Fields): void {
  if (router['disable_cooldowns'] === true)
    draft.note('router_settings.disable_cooldowns', 'not carried over: breakers cannot be disabled');
  const fails = numberOf(router['allowed_fails'] ?? litellm['allowed_fails']);
  const openFor = secondsOf(router['cooldown_time'] ?? litellm['cooldown_time']);
  const breaker = {
    ...(fails === null ? {} : { consecutiveFailures: Math.max(1, Math.round(fails) + 1) }),
    ...(openFor === null ? {} : { openFor }),
  };
  if (Object.keys(breaker).length === 0) return;
  policy(draft, { breaker });
  draft.note(
    'allowed_fails, cooldown_time',
    'a breaker counts failures in a row, not per minute, and its open time grows with each opening',
  );
}

function addCache(draft: Draft, litellm: Fields): void {
  if (litellm['cache'] !== true) return;
  const params = recordOf(litellm['cache_params']);
  const where = 'litellm_settings.cache_params';
  if (params['mode'] === 'default_off') return draft.note(where, 'mode: default_off has no counterpart; the cache stays disabled');
  const ttl = secondsOf(params['ttl']);
  policy(draft, { cache: { enabled: true, ...(ttl === null ? {} : { ttl }) } });
  const type = textOf(params['type']);
  if (type !== null && type !== 'local')
    draft.note(where, `type: ${type} is not carried over: responses are cached in the store (store:), for equal requests only`);
}

function addKeys(draft: Draft, general: Fields, litellm: Fields): void {
  const key = readKey(draft, general['master_key'], MASTER_KEY, 'the key of callers and of the admin API');
  if (key === null) return;
  draft.sections['server'] = { ...recordOf(draft.sections['server']), adminKey: key };
  const concurrency = countOf(general['global_max_parallel_requests'] ?? general['max_parallel_requests']);
  const limits = concurrency === null ? {} : { limits: { concurrency } };
  draft.sections['clients'] = [{ name: 'default', key, ...limits, ...budgetOf(draft, litellm) }];
  draft.note(
    'general_settings.master_key',
    'it is the key of one client, default, and of the admin API; give each client a key of its own',
  );
}

const PERIODS: Readonly<Record<string, string>> = {
  '1h': 'hour', '60m': 'hour', '1d': 'day', '24h': 'day', '7d': 'week', '1w': 'week', '30d': 'month', '1mo': 'month',
}; // prettier-ignore

function budgetOf(draft: Draft, { max_budget: max, budget_duration: duration }: Fields): Fields {
  const [usd, period] = [numberOf(max), textOf(duration)];
  if (usd === null || usd < 0) return {};
  const per = PERIODS[period ?? ''];
  const where = 'litellm_settings.max_budget, budget_duration';
  if (per === undefined) {
    draft.note(where, `not carried over: the period of a budget is an hour, a day, a week or a month (got ${period ?? 'none'})`);
    return {};
  }
  draft.note(where, `clients[].budget: a ${per} of the calendar in UTC; cost is computed from known prices (docs/costs.md)`);
  return { budget: { usd, per } };
}

function noteStrategy(draft: Draft, router: Fields): void {
  const strategy = textOf(router['routing_strategy']);
  if (strategy === null || strategy === 'simple-shuffle') return;
  draft.note(
    'router_settings.routing_strategy',
    `${strategy} has no setting here: within a tier the target is chosen by weight, free capacity, health and latency`,
  );
}

function noteRedis(draft: Draft, router: Fields, litellm: Fields): void {
  const host = router['redis_host'] ?? router['redis_url'] ?? recordOf(litellm['cache_params'])['host'];
  if (host === undefined || host === null) return;
  draft.note(
    'redis',
    'not carried over: with store: redis://HOST:PORT several instances share their limits, and ioredis has to be installed (docs/many-instances.md)',
  );
}

/** Only the names: the values may be secret. */
function noteEnvironment(draft: Draft, variables: unknown): void {
  if (!isRecord(variables)) return;
  for (const [name, value] of Object.entries(variables)) {
    const other = variableIn(value);
    draft.note(
      `environment_variables.${name}`,
      other === null ? 'set it in the environment of the process' : `set it to the value of ${other}`,
    );
  }
}

/** One line per setting without a counterpart. */
function noteRest(draft: Draft, config: Fields): void {
  for (const [section, done] of Object.entries(DONE)) {
    for (const [name, value] of Object.entries(recordOf(config[section]))) {
      if (done.has(name) || value === null || value === false) continue;
      draft.note(`${section}.${name}`, `not carried over${HINTS[name] === undefined ? '' : `; ${HINTS[name]}`}`);
    }
  }
  const known = ['model_list', 'environment_variables', 'credential_list', ...Object.keys(DONE)];
  for (const name of Object.keys(config))
    if (!known.includes(name)) draft.note(name, name === 'include' ? 'import the included files too' : 'not carried over');
  if (countOf(draft.routes.size) === null) draft.note('model_list', 'no model was imported');
}
