/** Converts LiteLLM's sections of settings. */
import { isRecord } from '../../core/json.ts';
import { countOf, recordOf, secondsOf, textOf, type Draft, type Fields, type Timeouts } from './draft.ts';
import { attemptPolicy, timeoutPolicy } from './policy.ts';
import { Settings } from './settings.ts';
import { readKey, readNumber, variableIn } from './values.ts';

const MASTER_KEY = 'LITELLM_MASTER_KEY';

const SECTIONS = ['router_settings', 'litellm_settings', 'general_settings'] as const;
export type Sections = Readonly<Record<(typeof SECTIONS)[number], Settings>>;

/** Settings that need no counterpart: what they ask for is the default, or they have no effect by themselves. */
const NEEDLESS: Readonly<Record<(typeof SECTIONS)[number], readonly string[]>> = {
  router_settings: ['enable_pre_call_checks', 'retry_after', 'redis_host', 'redis_port', 'redis_password', 'redis_url'],
  litellm_settings: ['drop_params', 'set_verbose', 'json_logs'],
  general_settings: [],
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
  max_budget: 'without master_key there is no client to limit: see clients[].budget',
  budget_duration: 'without master_key there is no client to limit: see clients[].budget',
  global_max_parallel_requests: 'without master_key there is no client to limit: see clients[].limits.concurrency',
};

export function readSections(config: Fields): Sections {
  const [router, litellm, general] = SECTIONS.map((name) => new Settings(config[name])) as [Settings, Settings, Settings];
  return { router_settings: router, litellm_settings: litellm, general_settings: general };
}

export function addSettings(draft: Draft, config: Fields, sections: Sections): void {
  const { router_settings: router, litellm_settings: litellm, general_settings: general } = sections;
  noteRedis(draft, config);
  addRetries(draft, router, litellm);
  policy(draft, timeoutPolicy(draft, 'timeout', globalTimeouts(draft, sections)));
  addBreaker(draft, router, litellm);
  addCache(draft, litellm);
  addKeys(draft, general, litellm);
  noteStrategy(draft, router);
  noteEnvironment(draft, config['environment_variables']);
  noteRest(draft, config, sections);
}

function policy(draft: Draft, more: Fields): void {
  if (Object.keys(more).length > 0) draft.sections['policy'] = { ...recordOf(draft.sections['policy']), ...more };
}

/** A setting of the router, else of the library. */
function numberIn(draft: Draft, router: Settings, name: string, litellm: Settings, other: string = name): number | null {
  const read = (settings: Settings, key: string, section: string): number | null =>
    readNumber(settings, key, (reason) => draft.note(`${section}.${key}`, `not carried over: ${reason}`));
  const [own, general] = [read(router, name, 'router_settings'), read(litellm, other, 'litellm_settings')];
  return own ?? general;
}

function addRetries(draft: Draft, router: Settings, litellm: Settings): void {
  const given = numberIn(draft, router, 'num_retries', litellm);
  const retries = given !== null && given >= 0 ? given : null;
  policy(draft, attemptPolicy(draft, retries === null ? 'fallbacks' : 'num_retries', retries));
}

/** Both limit one attempt; a deadline for the whole request, queueing included, is Breakwater's own. */
export function globalTimeouts(draft: Draft, { router_settings: router, litellm_settings: litellm }: Sections): Timeouts {
  const ms = (seconds: number | null): number | null => (seconds === null || seconds <= 0 ? null : Math.max(1, Math.round(seconds * 1000)));
  return {
    attemptMs: ms(numberIn(draft, router, 'timeout', litellm, 'request_timeout')),
    firstContentMs: ms(numberIn(draft, router, 'stream_timeout', litellm)),
  };
}

function addBreaker(draft: Draft, router: Settings, litellm: Settings): void {
  if (router.get('disable_cooldowns') === true)
    draft.note('router_settings.disable_cooldowns', 'not carried over: breakers cannot be disabled');
  const fails = numberIn(draft, router, 'allowed_fails', litellm);
  const openFor = secondsOf(numberIn(draft, router, 'cooldown_time', litellm));
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

function addCache(draft: Draft, litellm: Settings): void {
  if (litellm.get('cache') !== true) return;
  const params = new Settings(litellm.get('cache_params'));
  const where = 'litellm_settings.cache_params';
  params.ignore(['host', 'port', 'password', 'url']);
  if (params.get('mode') === 'default_off') return draft.note(where, 'mode: default_off has no counterpart; the cache stays disabled');
  const ttl = secondsOf(readNumber(params, 'ttl', (reason) => draft.note(`${where}.ttl`, `not carried over: ${reason}`)));
  policy(draft, { cache: { enabled: true, ...(ttl === null ? {} : { ttl }) } });
  const type = textOf(params.get('type'));
  if (type !== null && type !== 'local')
    draft.note(where, `type: ${type} is not carried over: responses are cached in the store (store:), for equal requests only`);
  noteUnread(draft, params, where);
}

function addKeys(draft: Draft, general: Settings, litellm: Settings): void {
  const key = readKey(draft, general.get('master_key'), MASTER_KEY, 'the key of callers and of the admin API');
  if (key === null) return;
  draft.sections['server'] = { ...recordOf(draft.sections['server']), adminKey: key };
  const name = 'global_max_parallel_requests';
  const concurrency = countOf(readNumber(general, name, (reason) => draft.note(`general_settings.${name}`, `not carried over: ${reason}`)));
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

function budgetOf(draft: Draft, litellm: Settings): Fields {
  const where = 'litellm_settings.max_budget, budget_duration';
  const usd = readNumber(litellm, 'max_budget', (reason) => draft.note(where, `not carried over: ${reason}`));
  const period = textOf(litellm.get('budget_duration'));
  if (usd === null || usd < 0) return {};
  const per = PERIODS[period ?? ''];
  if (per === undefined) {
    draft.note(where, `not carried over: the period of a budget is an hour, a day, a week or a month (got ${period ?? 'none'})`);
    return {};
  }
  draft.note(where, `clients[].budget: a ${per} of the calendar in UTC; cost is computed from known prices (docs/costs.md)`);
  return { budget: { usd, per } };
}

function noteStrategy(draft: Draft, router: Settings): void {
  const strategy = textOf(router.get('routing_strategy'));
  if (strategy === null || strategy === 'simple-shuffle') return;
  draft.note(
    'router_settings.routing_strategy',
    `${strategy} has no setting here: within a tier the target is chosen by weight, free capacity, health and latency`,
  );
}

function noteRedis(draft: Draft, { router_settings: router, litellm_settings: litellm }: Fields): void {
  const { redis_host: named, redis_url: url } = recordOf(router);
  const host = named ?? url ?? recordOf(recordOf(litellm)['cache_params'])['host'];
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
function noteRest(draft: Draft, config: Fields, sections: Sections): void {
  for (const section of SECTIONS) {
    sections[section].ignore(NEEDLESS[section]);
    noteUnread(draft, sections[section], section);
  }
  const known: readonly string[] = ['model_list', 'environment_variables', 'credential_list', ...SECTIONS];
  for (const name of Object.keys(config))
    if (!known.includes(name)) draft.note(name, name === 'include' ? 'import the included files too' : 'not carried over');
  if (countOf(draft.routes.size) === null) draft.note('model_list', 'no model was imported');
}

/** A setting that is false has no effect. */
function noteUnread(draft: Draft, settings: Settings, where: string): void {
  for (const [name, value] of settings.unread()) {
    if (value !== false) draft.note(`${where}.${name}`, `not carried over${HINTS[name] === undefined ? '' : `; ${HINTS[name]}`}`);
  }
}
