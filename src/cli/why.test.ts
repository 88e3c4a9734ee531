import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runCli } from '../../test/cli/run-cli.ts';
import { explain } from '../telemetry/explanation.ts';
import { attempt, attemptEnd, failedAttempt, finished, queued, received } from '../telemetry/events.fixture.ts';

const story = explain({
  received: received(),
  events: [
    queued(),
    attempt({ at: 1_200, queuedMs: 1_200 }),
    failedAttempt('slow down, please', { at: 1_700 }),
    attempt({ at: 1_700, attempt: 2, target: 'claude/haiku' }),
    attemptEnd({ at: 2_200, attempt: 2, target: 'claude/haiku', costUsd: 0.002 }),
  ],
  finished: finished({ at: 2_200, durationMs: 2_200, queueMs: 1_200, attempts: 2, target: 'claude/haiku', fallback: 'rate_limited' }),
});

const record = {
  v: 1,
  at: 17e11,
  id: 'req_kept',
  protocol: 'openai',
  operation: 'chat',
  model: 'fast',
  client: 'web',
  priority: 'normal',
  stream: true,
  deadlineMs: 60_000,
  bodyBytes: 100,
  inputTokens: 20,
  outputBound: null,
  outcome: 'success',
  status: 200,
  code: null,
  target: 'b/two',
  fallback: 'overloaded',
  cache: null,
  attemptCount: 2,
  attempts: [
    {
      attempt: 1,
      target: 'a/one',
      credential: 1,
      atMs: 900,
      durationMs: 300,
      firstContentMs: null,
      verdict: 'switch',
      reason: 'overloaded',
      status: 503,
      usage: null,
    },
    {
      attempt: 2,
      target: 'b/two',
      credential: 1,
      atMs: 1200,
      durationMs: 800,
      firstContentMs: 90,
      verdict: 'success',
      reason: null,
      status: 200,
      usage: null,
    },
  ],
  queueMs: 900,
  durationMs: 2e3,
  firstContentMs: 1290,
  usage: null,
  costUsd: null,
};

const usage = {
  from: '2026-05-01', to: '2026-05-01', by: ['client'], rows: [],
  total: {
    calls: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, costUsd: 0, wastedCostUsd: 0, wastedCalls: 0, unpricedCalls: 0,
  },
}; // prettier-ignore

/** An admin API that has one request and requires a key. */
async function startAdmin(t: TestContext): Promise<string> {
  const server: Server = createServer((request, response) => {
    if (request.url === '/health/live') response.end('up');
    else if (request.headers.authorization !== 'Bearer operator-key-1') {
      response.writeHead(401).end('{"error":{"message":"the admin key is required"}}');
    } else if (request.url === '/admin/requests/req_1') response.end(JSON.stringify({ id: 'req_1', story }));
    else if (request.url?.startsWith('/admin/usage') === true) response.end(JSON.stringify(usage));
    else response.writeHead(404).end('{"error":{"message":"no request"}}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return String((server.address() as AddressInfo).port);
}

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const configOf = (port: string) =>
  `server: { port: ${port}, adminKey: operator-key-1 }\ntelemetry: { requests: { file: requests.jsonl } }\nproviders: { a: { baseUrl: "http://127.0.0.1:9/v1", apiKey: sk-upstream-1 } }\n`;

test('a running gateway explains a request with its times, causes and cost', async (t) => {
  const cwd = await folderWith({ 'breakwater.yaml': configOf(await startAdmin(t)) });
  const { code, stdout, stderr } = await runCli(['why', 'req_1'], { cwd });
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.split('\n'), [
    'req_1: non-streaming chat for fast succeeded after 2.2 s and 2 attempts, served by claude/haiku as a fallback (first choice: rate limit)',
    '',
    '           0 ms  received from web, priority normal, deadline in 10 min, about 250 input tokens',
    '   0 ms – 1.2 s  queued, no target can start: openai/gpt: token limit, for another 1.2 s',
    '  1.2 s – 1.7 s  attempt 1, openai/gpt: failed after 500 ms: 429 rate limit – “slow down, please”. Only another target may work',
    '  1.7 s – 2.2 s  attempt 2, claude/haiku: succeeded in 500 ms, first content after 120 ms, 240 + 60 tokens ($0.002)',
    '          2.2 s  success, status 200',
    '',
    'Time: 2.2 s in total, 1.2 s in the queue, 1 s in 2 attempts',
    'Cost: 240 input + 60 output tokens, $0.002',
    '',
  ]);
});

test('a request unknown to the gateway is found in its request log', async (t) => {
  const files = {
    'breakwater.yaml': configOf(await startAdmin(t)),
    'requests.jsonl': `{"cut off\n${JSON.stringify(record)}\n{"v":1,"id":"req_other"}\n`,
  };
  const cwd = await folderWith(files);
  const { code, stdout, stderr } = await runCli(['why', 'req_kept'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /^req_kept: streaming chat for fast succeeded after 2 s and 2 attempts, served by b\/two as a fallback \(first choice: overloaded\)$/m,
  );
  assert.match(stdout, /0 ms – 900 ms {2}queued; the record has no details$/m);
  assert.match(stdout, /900 ms – 1\.2 s {2}attempt 1, a\/one: failed after 300 ms: 503 overloaded\. Only another target may work$/m);
  const alone = await runCli(['why', 'req_kept', '--file', 'requests.jsonl'], { cwd });
  assert.equal(alone.stdout, stdout);
});

test('the request log is searched if the gateway is not running', async () => {
  const cwd = await folderWith({ 'breakwater.yaml': configOf('1'), 'requests.jsonl': `${JSON.stringify(record)}\n` });
  assert.equal((await runCli(['why', 'req_kept'], { cwd })).code, 0);
});

for (const [what, args, files, expected] of [
  ['unknown to both', ['why', 'req_none'], { 'requests.jsonl': '' }, /has no request "req_none"\n.*not in .*requests\.jsonl either/],
  [
    'not in the file named',
    ['why', 'req_none', '--file', 'requests.jsonl'],
    { 'requests.jsonl': '' },
    /no request "req_none" in requests\.jsonl/,
  ],
  ['in a file that is not there', ['why', 'req_none', '--file', 'none.jsonl'], {}, /none\.jsonl: cannot be read \(.*ENOENT/],
] as const) {
  test(`a request that is ${what} exits with 1 and lists the places searched`, async (t) => {
    const cwd = await folderWith({ 'breakwater.yaml': configOf(await startAdmin(t)), ...files });
    const { code, stdout, stderr } = await runCli(args, { cwd });
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, expected);
    assert.doesNotMatch(stderr, /\n {4}at /);
  });
}

test('without the admin key the remedy is stated; the key can come from the environment', async (t) => {
  const url = `http://127.0.0.1:${await startAdmin(t)}`;
  const cwd = await folderWith({});
  const refused = await runCli(['why', 'req_1', '--url', url], { cwd });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /responded with 401: the admin key is required/);
  const taken = await runCli(['why', 'req_1', '--url', `${url}/`], { cwd, env: { BREAKWATER_ADMIN_KEY: 'operator-key-1' } });
  assert.equal(taken.code, 0, taken.stderr);
});

test('commands about a running gateway need no key of a provider or client, but name a missing admin key', async (t) => {
  const port = await startAdmin(t);
  const config = (server: string): string => `
server: ${server}
telemetry: { requests: { file: requests.jsonl } }
providers: { openai: {}, other: { baseUrl: "\${OTHER_URL}", apiKey: "\${OTHER_API_KEY}" } }
models: { fast: [openai/gpt-4o] }
clients: [{ name: web, key: "\${WEB_KEY}" }]
store: "\${REDIS_URL}"
`;
  const files = {
    'breakwater.yaml': config(`{ port: ${port}, adminKey: operator-key-1, cors: { origins: ["https://app.example"] } }`),
    'open.yaml': config(`{ port: ${port}, host: 0.0.0.0, adminKey: operator-key-1, tls: { cert: "", key: "" } }`),
    'variable.yaml': config(`{ port: ${port}, adminKey: "\${ADMIN_KEY}" }`),
    'requests.jsonl': `${JSON.stringify(record)}\n`,
  };
  const cwd = await folderWith(files);
  const url = `http://127.0.0.1:${port}`;
  const runs: readonly (readonly [readonly string[], RegExp, Readonly<Record<string, string>>?])[] = [
    [['why', 'req_1'], /^req_1: /],
    [['why', 'req_1', '--config', 'open.yaml'], /^req_1: /],
    [['why', 'req_1', '--url', url], /^req_1: /],
    [['why', 'req_1', '--config', 'variable.yaml'], /^req_1: /, { ADMIN_KEY: 'operator-key-1' }],
    [['why', 'req_1', '--config', 'variable.yaml', '--url', url], /^req_1: /, { BREAKWATER_ADMIN_KEY: 'operator-key-1' }],
    [['usage'], /^Usage from/],
    [['record', 'incident', '--from', '2023-11-14', '--to', '2023-11-15'], /^1 requests from/],
    [['health'], /^up\n/],
    [['health', '--config', 'variable.yaml'], /^up\n/],
  ];
  for (const [args, expected, env = {}] of runs) {
    const { code, stdout, stderr } = await runCli(args, { cwd, env });
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    assert.match(stdout, expected);
  }
  const missing = await runCli(['usage', '--config', 'variable.yaml'], { cwd });
  assert.match(missing.stderr, /variable\.yaml: server\.adminKey: needs the environment variable ADMIN_KEY, which is not set/);
});
