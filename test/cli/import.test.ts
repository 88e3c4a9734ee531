/** `breakwater import` as a new user runs it: convert, check, serve, request. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startStorm, type Storm } from '../../src/storm/index.ts';
import { runCli, startCli } from './run-cli.ts';

const PLAIN = ['sk-proj-PLAIN', 'ant-PLAIN', 'hunter2-PLAIN'];

const litellm = (anthropicUrl: string) => `
environment_variables:
  LANGFUSE_SECRET_KEY: hunter2-PLAIN
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/storm-small
      api_base: os.environ/STORM_URL
      api_key: sk-proj-PLAIN
      rpm: 600
      weight: 2
  - model_name: gpt-4o
    litellm_params:
      model: openai/storm-large
      api_base: os.environ/STORM_URL
      api_key: os.environ/SECOND_KEY
      weight: 1
      extra_headers: { X-Team: blue, X-Auth-Token: hunter2-PLAIN }
  - model_name: claude
    litellm_params:
      model: anthropic/storm-small
      api_base: ${anthropicUrl}
      api_key: ant-PLAIN
      max_parallel_requests: 4
  - model_name: "wild/*"
    litellm_params: { model: "openai/*", api_base: os.environ/STORM_URL, api_key: os.environ/SECOND_KEY }
  - model_name: painter
    litellm_params: { model: replicate/x/y, api_key: os.environ/REPLICATE_KEY }
router_settings:
  routing_strategy: latency-based-routing
  num_retries: 2
  timeout: 30
  fallbacks: [{ "gpt-4o": ["claude"] }]
  model_group_alias: { "gpt-4": "gpt-4o" }
litellm_settings: { cache: true, cache_params: { type: local, ttl: 600 }, callbacks: [otel] }
general_settings: { master_key: os.environ/LITELLM_MASTER_KEY, database_url: "postgresql://u:hunter2-PLAIN@db/x" }
`;

async function start(t: TestContext): Promise<{ storm: Storm; cwd: string }> {
  const storm = await startStorm();
  t.after(() => storm.close());
  return { storm, cwd: await mkdtemp(join(tmpdir(), 'breakwater-import-')) };
}

/** Serves the imported config, and returns the model's reply. */
async function request(
  t: TestContext,
  cwd: string,
  env: Readonly<Record<string, string>>,
  { model, key, path = '/v1/chat/completions' }: { readonly model: string; readonly key?: string; readonly path?: string },
): Promise<{ status: number; target: string | null }> {
  const cli = startCli(['serve', '--config', 'breakwater.yaml', '--port', '0'], { cwd, env });
  t.after(() => cli.child.kill());
  const [, url] = await cli.until('stdout', /listening on (\S+)/);
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], max_tokens: 20 }),
  });
  await response.text();
  cli.child.kill();
  await cli.ended;
  return { status: response.status, target: response.headers.get('x-breakwater-target') };
}

test('a LiteLLM config is imported without its secrets, passes check, and serves requests', async (t) => {
  const { storm, cwd } = await start(t);
  await writeFile(join(cwd, 'config.yaml'), litellm(storm.url.replace('/v1', '')));
  const written = await runCli(['import', 'litellm', 'config.yaml', '--out', 'breakwater.yaml'], { cwd });
  assert.equal(written.code, 0, written.stderr);
  const yaml = await readFile(join(cwd, 'breakwater.yaml'), 'utf8');
  for (const secret of PLAIN) assert.ok(!yaml.includes(secret) && !written.stderr.includes(secret), `${secret} in\n${yaml}`);
  for (const words of [
    'replicate',
    'latency-based-routing',
    'database_url',
    'callbacks',
    'LANGFUSE_SECRET_KEY',
    'OPENAI_API_KEY: the key of',
  ])
    assert.ok(yaml.split('\nproviders:')[0]!.includes(words), `${words} in the comments of\n${yaml}`);
  const names = [...new Set([...yaml.matchAll(/\$\{(\w+)\}/g)].map((match) => match[1]!))];
  const env = Object.fromEntries(names.map((name) => [name, name === 'STORM_URL' ? storm.url : `key-${name}`]));
  const checked = await runCli(['check', 'breakwater.yaml'], { cwd, env });
  assert.equal(checked.code, 0, checked.stderr);

  const key = 'key-LITELLM_MASTER_KEY';
  const alias = await request(t, cwd, env, { model: 'gpt-4', key });
  assert.equal(alias.status, 200);
  assert.match(alias.target!, /^openai(-2)?\/storm-(small|large)$/);
  assert.deepEqual(await request(t, cwd, env, { model: 'claude', key }), { status: 200, target: 'anthropic/storm-small' });
  const wild = await request(t, cwd, env, { model: 'wild/storm-large', key });
  assert.equal(wild.status, 200);
  assert.match(wild.target!, /storm-large$/);
  assert.equal((await request(t, cwd, env, { model: 'claude' })).status, 401, 'the master key is required');
  const again = await runCli(['import', 'litellm', 'config.yaml', '--out', 'breakwater.yaml'], { cwd });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /exists already/);
});

test('a Portkey config is imported with its fallback and its load balance, and serves requests', async (t) => {
  const { storm, cwd } = await start(t);
  const config = {
    strategy: { mode: 'fallback', on_status_codes: [429, 500] },
    retry: { attempts: 3 },
    cache: { mode: 'semantic', max_age: 600 },
    request_timeout: 20_000,
    targets: [
      { provider: 'openai', api_key: 'sk-proj-PLAIN', custom_host: 'http://127.0.0.1:9/v1', override_params: { model: 'gone' } },
      {
        strategy: { mode: 'loadbalance' },
        targets: [
          {
            virtual_key: 'openai-prod-1a2b',
            custom_host: storm.url,
            weight: 0.7,
            override_params: { model: 'storm-small', temperature: 0.1 },
          },
          { provider: '@openai-dev', customHost: storm.url, weight: 0.3, overrideParams: { model: 'storm-large' } },
        ],
      },
    ],
  };
  await writeFile(join(cwd, 'portkey.json'), JSON.stringify(config));
  const { code, stdout, stderr } = await runCli(['import', 'portkey', 'portkey.json'], { cwd });
  assert.equal(code, 0, stderr);
  assert.ok(!stdout.includes('PLAIN'), stdout);
  for (const words of ['semantic', 'on_status_codes', 'openai-prod-1a2b is stored at Portkey', 'weight: 0.7', 'OPENAI_API_KEY_PROD_1A2B'])
    assert.ok(stdout.includes(words), `${words} in\n${stdout}`);
  await writeFile(join(cwd, 'breakwater.yaml'), stdout);
  const env = Object.fromEntries([...stdout.matchAll(/\$\{(\w+)\}/g)].map((match) => [match[1]!, 'k']));
  assert.equal((await runCli(['check', 'breakwater.yaml'], { cwd, env })).code, 0);
  const { status, target } = await request(t, cwd, env, { model: 'any-name' });
  assert.equal(status, 200);
  assert.match(target!, /^openai-[23]\/storm-(small|large)$/);
});

test('lists of models of OpenRouter become routes', async (t) => {
  const { storm, cwd } = await start(t);
  const body = { models: ['storm/storm-small', 'storm/storm-large'], provider: { order: ['a'] }, route: 'fallback' };
  await writeFile(join(cwd, 'body.json'), JSON.stringify(body));
  await writeFile(join(cwd, 'list.txt'), 'anthropic/claude-sonnet-4.5\n# a comment\nopenai/gpt-4o:free\n');
  const fallback = await runCli(['import', 'openrouter', 'body.json', '--out', 'breakwater.yaml'], { cwd });
  assert.equal(fallback.code, 0, fallback.stderr);
  const yaml = await readFile(join(cwd, 'breakwater.yaml'), 'utf8');
  assert.match(yaml, /openrouter\/storm\/storm-small/);
  await writeFile(join(cwd, 'breakwater.yaml'), yaml.replace('openrouter:\n', `openrouter:\n    baseUrl: ${storm.url}\n`));
  assert.equal((await runCli(['check', 'breakwater.yaml'], { cwd, env: { OPENROUTER_API_KEY: 'k' } })).code, 0);
  const list = await runCli(['import', 'openrouter', 'list.txt'], { cwd });
  assert.match(list.stdout, /openai\/gpt-4o:free:\n {4}- openrouter\/openai\/gpt-4o:free/);
});

test('a file that is no config ends with one line and code 1, which does not quote the file', async (t) => {
  const { cwd } = await start(t);
  const cases: readonly (readonly [string, string, string])[] = [
    ['litellm', 'key: "sk-PLAIN', 'is neither YAML nor JSON'],
    ['litellm', '- sk-PLAIN', 'must be a YAML file with model_list'],
    ['litellm', 'model_list: []', 'no model can be imported'],
    ['portkey', '[]', 'must be a JSON object'],
    ['openrouter', 'sk-PLAIN', 'no model can be imported'],
  ];
  for (const [source, text, words] of cases) {
    await writeFile(join(cwd, 'file'), text);
    const { code, stdout, stderr } = await runCli(['import', source, 'file'], { cwd });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.ok(stderr.includes(words), stderr);
    if (source !== 'openrouter') assert.ok(!stderr.includes('PLAIN'), stderr);
  }
  const missing = await runCli(['import', 'litellm', 'none.yaml'], { cwd });
  assert.match(missing.stderr, /none\.yaml: can't be read \(got ENOENT\)/);
});
