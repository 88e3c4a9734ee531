/** `breakwater check --online` against Storm and against addresses that can't work. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startStorm } from '../../src/storm/index.ts';
import { runCli } from './run-cli.ts';

interface Result {
  readonly ok: boolean;
  readonly providers: readonly {
    readonly provider: string;
    readonly key: number | null;
    readonly works: string;
    readonly models: number | null;
    readonly missing: readonly string[];
    readonly cures: readonly string[];
  }[];
  readonly targets: readonly {
    readonly target: string;
    readonly works: string;
    readonly status: number | null;
    readonly limits: readonly string[];
    readonly cure: string;
  }[];
}

async function run(config: object, ...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-online-'));
  await writeFile(join(cwd, 'breakwater.json'), JSON.stringify(config));
  return runCli(['check', '--online', ...args], { cwd });
}

async function results(config: object, ...args: string[]): Promise<Result & { code: unknown }> {
  const { code, stdout, stderr } = await run(config, '--json', ...args);
  assert.ok(stdout.startsWith('{'), stderr);
  return { ...(JSON.parse(stdout) as Result), code };
}

test('a config that works is a table and code 0, also with one call for each target', async (t) => {
  const storm = await startStorm({ apiKeys: ['good'], strictModels: true, limits: { requestsPerMinute: 100 } });
  t.after(() => storm.close());
  const root = storm.url.replace('/v1', '');
  const config = {
    providers: {
      a: { baseUrl: storm.url, apiKey: 'good' },
      c: { protocol: 'anthropic', baseUrl: root, apiKey: 'good' },
      g: { protocol: 'gemini', baseUrl: root, apiKey: 'good' },
    },
    models: { fast: ['a/storm-small', 'c/storm-large'], smart: ['g/storm-small'], all: ['a/storm-small'] },
    clients: [{ name: 'x', key: 'k' }],
  };
  const { code, stdout } = await run(config);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^provider +works +latency +models +missing +limits\na +ok +\d+ ms +3 +-/);
  assert.equal(storm.stats().calls, 0, 'no request that costs money');
  const called = await results(config, '--calls');
  assert.deepEqual(
    called.targets.map(({ target, works, status }) => [target, works, status]),
    [
      ['a/storm-small', 'yes', 200],
      ['c/storm-large', 'yes', 200],
      ['g/storm-small', 'yes', 200],
    ],
    JSON.stringify(called.targets),
  );
  assert.ok(called.targets[0]!.limits.includes('100 requests'), JSON.stringify(called.targets[0]));
  assert.equal(called.code, 0);
});

test('each thing that is wrong is named with its remedy, and the code is 1', async (t) => {
  const storm = await startStorm({ apiKeys: ['good'], strictModels: true });
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  const strict = createHttpServer((request, response) => {
    response.statusCode = request.url === '/v1/models' ? 200 : 404;
    response.end(request.url === '/v1/models' ? '{"object":"list","data":[{"id":"m"}]}' : '<html>');
  }).listen(0, '127.0.0.1');
  t.after(() => {
    silent.close();
    strict.close();
    return storm.close();
  });
  await Promise.all([silent, strict].map((server) => new Promise((resolve) => server.once('listening', resolve))));
  const strictPort = (strict.address() as AddressInfo).port;
  const port = (silent.address() as AddressInfo).port;
  const config = {
    providers: {
      badkey: { baseUrl: storm.url, apiKeys: ['good', 'wrong'] },
      nokey: { baseUrl: storm.url },
      nov1: { baseUrl: `http://127.0.0.1:${strictPort}`, apiKey: 'good' },
      refused: { baseUrl: 'http://127.0.0.1:1/v1', apiKey: 'k' },
      dns: { baseUrl: 'http://breakwater-test.invalid/v1', apiKey: 'k' },
      slow: { baseUrl: `http://127.0.0.1:${port}/v1`, apiKey: 'k' },
      models: { baseUrl: storm.url, apiKey: 'good' },
      caller: { baseUrl: storm.url, apiKey: 'caller' },
    },
    models: { fast: ['models/storm-smal', 'models/storm-large'] },
  };
  const { code, providers } = await results(config, '--timeout', '1');
  assert.equal(code, 1);
  const cureOf = (name: string): string =>
    providers
      .filter(({ provider }) => provider === name)
      .flatMap(({ cures }) => cures)
      .join(' | ');
  assert.match(cureOf('badkey'), /^the key is rejected \(status 401\): correct key 2 of providers\.badkey/);
  assert.deepEqual(providers.filter(({ provider }) => provider === 'badkey').map(({ works }) => works), ['yes', 'no']); // prettier-ignore
  assert.match(cureOf('nokey'), /it needs a key \(status 401\): set providers\.nokey\.apiKey/);
  assert.match(cureOf('nov1'), /under \/v1: write providers\.nov1\.baseUrl with \/v1/);
  assert.match(cureOf('refused'), /nothing listens at 127\.0\.0\.1:1: start the server/);
  assert.match(cureOf('dns'), /breakwater-test\.invalid (does not exist|could not be resolved)/);
  assert.match(cureOf('slow'), /no response within 1 s/);
  assert.match(cureOf('models'), /^storm-smal is not among the 3 models of models: .*did you mean storm-small\?$/);
  assert.match(cureOf('caller'), /caller's own key/);
  const text = await run({ providers: { models: config.providers.models }, models: config.models }, '--calls');
  assert.equal(text.code, 1);
  assert.match(text.stdout, /models\/storm-smal +FAILS[^]*models\/storm-large +ok[^]*correct the name of the model/);
});

test('a reasoning model that spends the output limit of the call on reasoning works', async (t) => {
  const refusals: Readonly<Record<string, string>> = {
    'o4-mini':
      'Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.',
    'gpt-4o': 'This model does not support image input.',
  };
  const sent: Readonly<Record<string, unknown>>[] = [];
  const server = createHttpServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
      sent.push(body);
      const unsupported = `Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.`;
      const message = body['max_tokens'] === undefined ? refusals[String(body['model'])] : unsupported;
      const error = { message, type: 'invalid_request_error', param: body['max_tokens'] === undefined ? null : 'max_tokens', code: null };
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
    })();
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const config = { providers: { openai: { baseUrl, apiKey: 'k' } }, models: { a: ['openai/o4-mini'], b: ['openai/gpt-4o'] } };
  const { targets } = await results(config, '--calls');
  assert.deepEqual(
    targets.map(({ target, works, status, cure }) => [target, works, status, cure === '']),
    [
      ['openai/o4-mini', 'yes', 400, true],
      ['openai/gpt-4o', 'no', 400, false],
    ],
    JSON.stringify([targets, sent]),
  );
});
