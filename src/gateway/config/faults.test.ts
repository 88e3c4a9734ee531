import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatPath, nearest } from './faults.ts';
import { parseConfig } from './parse-config.ts';

function faultsOf(input: unknown, env: Record<string, string> = {}): string[] {
  const result = parseConfig(input, { source: 'file', env });
  return result.ok ? [] : result.faults.map((fault) => fault.message);
}

const x = { baseUrl: 'http://127.0.0.1:1/v1' };
const withX = (more: object) => ({ providers: { x }, ...more });
const provider = (more: object) => ({ providers: { x: { ...x, ...more } } });
const client = (more: object) => ({ clients: [{ name: 'a', key: 'k', ...more }] });
const span = (from: string, to: string) => `must be a duration from ${from} to ${to}, such as 250ms, 30s or 5m`;

const table: readonly (readonly [input: unknown, line: string])[] = [
  // The whole
  ['text', 'config: must be an object (got "text")'],
  [[], 'config: must be an object (got an empty list)'],
  [{ polcy: {} }, 'polcy: is an unknown key; did you mean policy?'],
  [{ zzzzzz: 1 }, 'zzzzzz: is an unknown key'],
  [{ zzzzzz: null }, 'zzzzzz: is an unknown key'],
  [{ store: 'postgres://h' }, 'store: must be memory:, sqlite:PATH or redis://HOST:PORT (got "postgres://h")'],

  // Server
  [{ server: { port: 70_000 } }, 'server.port: must be a whole number from 0 to 65535 (got 70000)'],
  [{ server: { port: 1.5 } }, 'server.port: must be a whole number from 0 to 65535 (got 1.5)'],
  [{ server: { port: 'http' } }, 'server.port: must be a whole number from 0 to 65535 (got "http")'],
  [{ server: { maxBodySize: '64 apples' } }, 'server.maxBodySize: must be a size from 1kb to 1gb, such as 64kb or 16mb (got "64 apples")'],
  [{ server: { drainTimeout: '2 days' } }, `server.drainTimeout: ${span('0ms', '1d')} (got "2 days")`],
  [{ server: { allowAnonymous: 'yes' } }, 'server.allowAnonymous: must be true or false (got "yes")'],
  [
    { server: { host: '0.0.0.0' } },
    'server.host: is open to the network without client keys; add clients (or set BREAKWATER_KEY), or set server.allowAnonymous: true (got "0.0.0.0")',
  ],
  [
    withX({ server: { passThrough: [{ path: 'v1/x', provider: 'x' }] } }),
    'server.passThrough[0].path: must be a path that starts with / (got "v1/x")',
  ],
  [
    withX({ server: { passThrough: [{ path: '/v1/x', provider: 'y' }] } }),
    'server.passThrough[0].provider: names a provider that is not configured (got "y")',
  ],
  [
    withX({ server: { passThrough: [{ path: '/v1/x', provider: 'x', clients: ['web'] }] } }),
    'server.passThrough[0].clients[0]: names a client that is not configured (got "web")',
  ],

  // Policies
  [{ policy: { deadline: '10 minutes' } }, `policy.deadline: ${span('1ms', '7d')} (got "10 minutes")`],
  [{ policy: { deadline: -1 } }, `policy.deadline: has no unit; it ${span('1ms', '7d')} (got -1)`],
  [{ policy: { deadline: '8d' } }, `policy.deadline: ${span('1ms', '7d')} (got "8d")`],
  [{ policy: { deadline: true } }, `policy.deadline: ${span('1ms', '7d')} (got true)`],
  [{ policy: { deadline: '2h' } }, 'policy.deadline: must not be more than maxDeadline (got "2h")'],
  [{ policy: { maxDeadline: '1s' } }, 'policy.maxDeadline: must not be less than deadline (got "1s")'],
  [{ policy: { maxAttempts: 0 } }, 'policy.maxAttempts: must be a whole number from 1 to 100 (got 0)'],
  [{ policy: { timeouts: '3s' } }, 'policy.timeouts: must be an object (got "3s")'],
  [{ policy: { timeouts: { conect: '3s' } } }, 'policy.timeouts.conect: is an unknown key; did you mean connect?'],
  [
    { policy: { timeouts: { headers: 'never' } } },
    'policy.timeouts.headers: must be auto, or a duration from 1ms to 1h, such as 250ms, 30s or 5m (got "never")',
  ],
  [
    { policy: { queue: { maxWait: 'auto' } } },
    'policy.queue.maxWait: must be none, or a duration from 1ms to 7d, such as 250ms, 30s or 5m (got "auto")',
  ],
  [{ policy: { queue: { minShare: { low: 2 } } } }, 'policy.queue.minShare.low: must be a share from 0 to 0.9 (got 2)'],
  [
    { policy: { queue: { minShare: { low: 0.5, normal: 0.6 } } } },
    'policy.queue.minShare: must sum to less than 1, to leave a share for high (got 1.1)',
  ],
  [{ policy: { retry: { budget: { ratio: '20%' } } } }, 'policy.retry.budget.ratio: must be a share from 0 to 1 (got "20%")'],
  [
    withX({ clients: [{ name: 'a', key: 'k-1', budget: { usd: 1, per: 'year' } }] }),
    'clients[0].budget.per: must be hour, day, week or month (got "year")',
  ],
  [{ policy: { retry: { baseDelay: '10s' } } }, 'policy.retry.baseDelay: must not be more than maxDelay (got "10s")'],
  [{ policy: { breaker: { maxOpenFor: '1s' } } }, 'policy.breaker.maxOpenFor: must not be less than openFor (got "1s")'],
  [
    { policy: { hedge: { delay: 'p49' } } },
    'policy.hedge.delay: must be a duration such as 500ms, or a quantile from p50 to p99 (got "p49")',
  ],
  [{ policy: { stream: { recover: 'maybe' } } }, 'policy.stream.recover: must be off or continue (got "maybe")'],
  [
    { policy: { quality: { mustMatch: ['ok', '('] } } },
    'policy.quality.mustMatch[1]: is not a regular expression: Unterminated group (got "(")',
  ],
  [{ policy: { quality: { mustMatch: 'ok' } } }, 'policy.quality.mustMatch: must be a list of regular expressions (got "ok")'],
  [
    { policy: { quality: { check: 5 } } },
    'policy.quality.check: must be the path of a module, a model and an instruction, or (in the library) a function (got 5)',
  ],
  [{ policy: { quality: { check: { model: 'm' } } } }, 'policy.quality.check.instruction: is missing; it must be a string'],

  // Providers
  [{ providers: [] }, 'providers: must be an object of provider names (got an empty list)'],
  [{ providers: { x: 'openai' } }, 'providers.x: must be an object'],
  [
    { providers: { 'a/b': x } },
    'providers["a/b"]: must have a name of letters, digits, dots, dashes and underscores, at most 100 characters (got "a/b")',
  ],
  [
    { providers: { opnai: { apiKey: 'k' } } },
    'providers.opnai.baseUrl: is missing, and opnai is not a known provider with a default; did you mean openai?',
  ],
  [{ providers: { mine: {} } }, 'providers.mine.baseUrl: is missing, and mine is not a known provider with a default'],
  [{ providers: { mine: { preset: 'opnai' } } }, 'providers.mine.preset: is unknown; did you mean openai? (got "opnai")'],
  [{ providers: { openai: {} } }, 'providers.openai.apiKey: is missing; set it, or OPENAI_API_KEY'],
  [{ providers: { openai: { apiKey: '' } } }, 'providers.openai.apiKey: is missing; set it, or OPENAI_API_KEY (got "")'],
  [provider({ apiKey: 'a', apiKeys: ['b'] }), 'providers.x.apiKeys: must not be combined with apiKey; list all keys here (got a list)'],
  [provider({ apiKeys: [] }), 'providers.x.apiKeys: must have at least one key (got an empty list)'],
  [provider({ apiKeys: ['same', 'same'] }), 'providers.x.apiKeys[1]: is the same key as apiKeys[0]'],
  [provider({ apiKeys: ['caller', 'b'] }), 'providers.x.apiKeys[0]: must not be caller among other keys; use apiKey: caller'],
  [provider({ apiKey: 'two words of a key' }), 'providers.x.apiKey: must contain only printable ASCII characters without spaces'],
  [provider({ apiKey: 123_456_789_012 }), 'providers.x.apiKey: must be a string'],
  [
    provider({ baseUrl: 'api.example.com' }),
    'providers.x.baseUrl: must be a URL that starts with http:// or https:// (got "api.example.com")',
  ],
  [provider({ baseUrl: 'ftp://h/v1' }), 'providers.x.baseUrl: must be a URL that starts with http:// or https:// (got "ftp://h/v1")'],
  [
    provider({ baseUrl: 'http://me:pass@h/v1' }),
    'providers.x.baseUrl: must not contain a user or password; use apiKey or headers (got "http://****@h/v1")',
  ],
  [provider({ baseUrl: 'http://h/v1?key=abc' }), 'providers.x.baseUrl: must not contain a query or fragment (got "http://h/v1?key=****")'],
  [
    provider({ baseUrl: 'http://h/v1/chat/completions' }),
    'providers.x.baseUrl: must be the base URL for an SDK, without the path of an operation (got "http://h/v1/chat/completions")',
  ],
  [provider({ headers: { 'x team': 'a' } }), 'providers.x.headers["x team"]: is not a valid header name'],
  [provider({ headers: { Host: 'a' } }), 'providers.x.headers.Host: is a header that Breakwater sets itself'],
  [
    provider({ headers: { authorization: 'Bearer 1234567890\nx' } }),
    'providers.x.headers.authorization: must not contain control or non-Latin characters',
  ],
  [provider({ headers: { 'x-n': 1 } }), 'providers.x.headers.x-n: must be a string'],
  [{ server: { drainHeaders: { 'x y': 'a' } } }, 'server.drainHeaders["x y"]: is not a valid header name (got "x y")'],
  [provider({ protocol: 'grpc' }), 'providers.x.protocol: must be openai, anthropic, gemini or local (got "grpc")'],
  [
    provider({ limits: { burst: 2 } }),
    "providers.x.limits.burst: must be above 0 and at most 1: the share of a window's limit that may be used at once (got 2)",
  ],
  [
    provider({ limits: { requestsPerMinute: 0 } }),
    'providers.x.limits.requestsPerMinute: must be a whole number from 1 to 1000000000000 (got 0)',
  ],
  [provider({ limits: { rpm: 5 } }), 'providers.x.limits.rpm: is an unknown key'],
  [provider({ limits: { window: 'fixed' } }), 'providers.x.limits.window: must be bucket or sliding (got "fixed")'],
  [provider({ models: { big: { limit: {} } } }), 'providers.x.models.big.limit: is an unknown key; did you mean limits?'],
  [
    provider({ timeouts: { idle: '1s' }, policy: { timeouts: { idle: '2s' } } }),
    'providers.x.policy.timeouts: is set twice: timeouts is also set outside policy (got an object)',
  ],
  [
    provider({ policy: { agents: { main: 'low' } } }),
    'providers.x.policy.agents: applies to all models and providers; set it under the top-level policy (got an object)',
  ],
  [
    withX({ models: { a: { targets: ['x/y'], agents: { main: 'low' } } } }),
    'models.a.agents: applies to all models and providers; set it under the top-level policy (got an object)',
  ],
  [provider({ retry: { maxDelay: '1ms' } }), 'providers.x.retry.maxDelay: must not be less than baseDelay (got "1ms")'],

  // Models
  [withX({ models: { a: [] } }), 'models.a: must name at least one target (got an empty list)'],
  [withX({ models: { a: 'x/y' } }), 'models.a: must be a list of targets, or an object with targets (got "x/y")'],
  [withX({ models: { a: {} } }), 'models.a.targets: is missing; it must be a list of targets'],
  [withX({ models: { a: [[]] } }), 'models.a[0]: must not be an empty tier (got an empty list)'],
  [withX({ models: { a: { targets: [['x/a'], []] } } }), 'models.a.targets[1]: must not be an empty tier (got an empty list)'],
  [withX({ models: { a: ['gpt-4o'] } }), 'models.a[0]: must be a target, provider/model (got "gpt-4o")'],
  [withX({ models: { a: [['x/a', 'gpt-4o']] } }), 'models.a[0][1]: must be a target, provider/model (got "gpt-4o")'],
  [withX({ models: { a: [7] } }), 'models.a[0]: must be a target (provider/model, or an object with target) or a list of them (got 7)'],
  [withX({ models: { a: ['z/y'] } }), 'models.a[0]: names a provider that is not configured; did you mean x? (got "z/y")'],
  [
    withX({ models: { a: [['x/a', { target: 'other/y' }]] } }),
    'models.a[0][1].target: names a provider that is not configured (got "other/y")',
  ],
  [
    withX({ models: { a: ['local/y'] } }),
    'models.a[0]: names a model that is not under providers.local.models; it has extract (got "local/y")',
  ],
  [withX({ models: { a: [{ target: 'x/y', weight: 0 }] } }), 'models.a[0].weight: must be a number above 0 (got 0)'],
  [withX({ models: { a: [[{ target: 'x/y', weight: -2 }]] } }), 'models.a[0][0].weight: must be a number above 0 (got -2)'],
  [withX({ models: { a: [{ target: 'x/y', wieght: 2 }] } }), 'models.a[0].wieght: is an unknown key; did you mean weight?'],
  [
    withX({ models: { a: [{ target: 'x/y', set: { model: 'z' } }] } }),
    `models.a[0].set.model: must not set model: a target cannot change it (got "z")`,
  ],
  [
    withX({ models: { a: [{ target: 'x/y', drop: ['stream'] }] } }),
    `models.a[0].drop[0]: must not drop stream: a target cannot change it (got "stream")`,
  ],
  [withX({ models: { 'a-*-*': ['x/*'] } }), 'models["a-*-*"]: must have at most one * in its name (got "a-*-*")'],
  [
    withX({ models: { 'two\nlines': ['x/m'] } }),
    'models["two\uFFFDlines"]: must have a name of at most 512 characters, without control characters (got "two\uFFFDlines")',
  ],
  [
    withX({ models: { ['n'.repeat(513)]: ['x/m'] } }),
    `models.${'n'.repeat(513)}: must have a name of at most 512 characters, without control characters (got "${'n'.repeat(80)}…")`,
  ],
  [withX({ models: { a: ['x/*'] } }), 'models.a[0]: must not contain *, since the name of its model has none (got "x/*")'],
  [withX({ models: { a: { targets: ['x/y'], patience: 'long' } } }), `models.a.patience: ${span('0ms', '1h')} (got "long")`],

  // Forwarded headers
  [provider({ forwardHeaders: 'x-team' }), 'providers.x.forwardHeaders: must be a list of header names'],
  [
    provider({ forwardHeaders: ['x-team', 'Transfer-Encoding'] }),
    'providers.x.forwardHeaders[1]: is a hop-by-hop header, and is never forwarded (got "transfer-encoding")',
  ],

  [provider({ forwardHeaders: ['x-team: blue'] }), 'providers.x.forwardHeaders[0]: is not a valid header name (got "****")'],

  // Clients and prices
  [{ clients: { web: {} } }, 'clients.web.key: is missing; set key, or keyHash: sha256:…'],
  [{ clients: [{ key: 'k' }] }, 'clients[0].name: is missing; it must be a string'],
  [{ clients: [{ name: 'a' }] }, 'clients[0].key: is missing; set key, or keyHash: sha256:…'],
  [client({ key: '' }), 'clients[0].key: must not be empty (got "")'],
  [
    client({ keyHash: `sha256:${'0'.repeat(64)}` }),
    `clients[0].keyHash: must not be combined with key; use one of them (got "sha256:${'0'.repeat(64)}")`,
  ],
  [{ clients: [{ name: 'a', keyHash: 'md5:00' }] }, 'clients[0].keyHash: must be sha256: and 64 hex digits (got "md5:00")'],
  [{ clients: [{ name: 'a', keyHash: 'hunter2' }] }, 'clients[0].keyHash: must be sha256: and 64 hex digits'],
  [{ clients: [{ name: 'a', keyHash: 'sha256:hunter2' }] }, 'clients[0].keyHash: must be sha256: and 64 hex digits'],
  [client({ priority: 'urgent' }), 'clients[0].priority: must be high, normal or low (got "urgent")'],
  [client({ priority: 'high', maxPriority: 'low' }), 'clients[0].maxPriority: must not be lower than priority (high) (got "low")'],
  [
    {
      clients: [
        { name: 'a', key: 'k1' },
        { name: 'a', key: 'k2' },
      ],
    },
    'clients[1].name: is also the name of clients[0] (got "a")',
  ],
  [
    {
      clients: [
        { name: 'a', key: 'sk-1234567890' },
        { name: 'b', key: 'sk-1234567890' },
      ],
    },
    'clients[1].key: is also the key of clients[0]',
  ],
  [{ prices: { 'x/y': { output: 1 } } }, 'prices["x/y"].input: is missing; it must be a number from 0 to 1000000'],
  [{ telemetry: { metrics: 'private' } }, 'telemetry.metrics: must be true, false or public (got "private")'],
  [
    { telemetry: { logs: { level: 'loud' } } },
    'telemetry.logs.level: must be trace, debug, info, warn, error, fatal or silent (got "loud")',
  ],

  // The environment
  [provider({ apiKey: '${NOPE}' }), 'providers.x.apiKey: needs the environment variable NOPE, which is not set'],
  [
    provider({ headers: { 'x-a': '${1NOPE}' } }),
    'providers.x.headers.x-a: has a ${…} that is neither ${NAME} nor ${NAME:-default}; use $${ for a literal ${',
  ],
];

for (const [input, line] of table) {
  test(line.slice(0, 110), () => assert.deepEqual(faultsOf(input), [line]));
}

test('all faults are reported at once, one line each', () => {
  const faults = faultsOf({
    polcy: 1,
    server: { port: -1 },
    providers: { x: { baseUrl: 'nowhere', limits: { burst: 3 } }, y: {} },
    models: { a: ['gone/y'], b: { targets: [], patience: '1s' }, c: ['y/ok'] },
    clients: [{ name: 'a' }, { key: 'k' }, { name: 'b', key: '${MISSING}' }],
    policy: { timeouts: { idle: 'x' }, deadline: '2h' },
  });
  assert.deepEqual(
    faults.map((fault) => fault.slice(0, fault.indexOf(': '))),
    [
      'clients[2].key',
      'server.port',
      'providers.x.limits.burst',
      'models.b.targets',
      'policy.timeouts.idle',
      'clients[1].name',
      'polcy',
      'providers.x.baseUrl',
      'providers.y.baseUrl',
      'models.a[0]',
      'clients[0].key',
      'policy.deadline',
    ],
  );
  for (const fault of faults) assert.doesNotMatch(fault, /\n|\bat .*:\d+:\d+/);
});

test('a secret from the environment is masked in every setting', () => {
  const env = { OPENAI_API_KEY: 'topsecretvalue1234', SHORT_TOKEN: 'abc' };
  const lines = faultsOf(
    { server: { port: '${OPENAI_API_KEY}', host: '0.0.0.0-${SHORT_TOKEN}', drainTimeout: '${SHORT_TOKEN}' } },
    env,
  ).join('\n');
  assert.doesNotMatch(lines, /topsecret/);
  assert.match(lines, /^server\.port: [^(]*$/m);
  assert.match(lines, /^server\.drainTimeout: [^(]*$/m);
});

test('a secret under a misspelled key, or in a setting that may contain one, is never shown', () => {
  const secret = 'Zq81-hunter2hunter2';
  const written: unknown[] = [
    provider({ apikey: secret }),
    provider({ api_key: secret }),
    provider({ apiKye: secret }),
    provider({ headers: { 'x-anything': 17, 'x-team': `${secret}\u0001` } }),
    provider({ apiKeys: secret }),
    provider({ apiKeys: { first: secret } }),
    { server: { admin_key: secret } },
    { server: { adminKey: { value: secret } } },
    { clients: [{ name: 'a', kee: secret }] },
    { clients: { a: { secret } } },
    { clients: { a: secret } },
    { store: { password: secret } },
    { [secret]: 1, password: secret },
  ];
  for (const input of written) {
    const lines = faultsOf(input);
    assert.ok(lines.length > 0, JSON.stringify(input));
    if (!JSON.stringify(input).includes(`{"${secret}`)) assert.doesNotMatch(lines.join('\n'), /hunter2/, JSON.stringify(input));
  }
});

test('a duration without a unit is reported as such, as a number and as text', () => {
  for (const deadline of [30, 0, '30', '1500']) {
    assert.deepEqual(faultsOf({ policy: { deadline } }), [
      `policy.deadline: has no unit; it must be a duration from 1ms to 7d, such as 250ms, 30s or 5m (got ${JSON.stringify(deadline)})`,
    ]);
  }
  assert.match(faultsOf({ policy: { timeouts: { headers: 5 } } })[0] ?? '', /headers: has no unit; it must be auto, or a duration/);
  assert.match(faultsOf({ policy: { hedge: { delay: 5 } } })[0] ?? '', /delay: has no unit; it must be a duration/);
});

test('a value that looks like a key is masked in any setting', () => {
  const [line] = faultsOf(provider({ baseUrl: 'sk-proj-abcdefghijklmnop' }));
  assert.doesNotMatch(line ?? '', /abcdef|got/);
});

test('a long value is truncated, and control characters are replaced', () => {
  const [long] = faultsOf({ policy: { deadline: 'y'.repeat(5000) } });
  assert.ok((long ?? '').length < 300);
  const [odd] = faultsOf({ policy: { deadline: 'a\u001b[31m\nb' } });
  assert.doesNotMatch(odd ?? '', /\p{Cc}/u);
});

test('parsing never throws, for any input', () => {
  const word = fc.constantFrom(
    'providers',
    'models',
    'policy',
    'clients',
    'server',
    'x',
    'targets',
    'timeouts',
    'preset',
    '__proto__',
    'constructor',
    'a/b',
    '*',
  );
  const tree = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue(),
      fc.constantFrom('x/y', '${A}', '', 'openai'),
      fc.dictionary(word, tie('node')),
      fc.array(tie('node')),
    ),
  })).node;
  fc.assert(
    fc.property(tree, (input) => {
      const lines = faultsOf(input);
      for (const line of lines) assert.match(line, /^[^\n]+: [^\n]+$/);
    }),
    { numRuns: 500 },
  );
});

test('paths are formatted as in code', () => {
  assert.equal(formatPath(['models', 'claude-*', 0, 'target']), 'models["claude-*"][0].target');
  assert.equal(formatPath([]), '');
});

test('a typo is recognized, a different word is not', () => {
  assert.equal(nearest('opnai', ['openai', 'ollama']), 'openai');
  assert.equal(nearest('OpenAI', ['openai', 'ollama']), 'openai');
  assert.equal(nearest('grqo', ['groq', 'xai']), 'groq');
  assert.equal(nearest('mine', ['openai', 'ollama']), null);
});
