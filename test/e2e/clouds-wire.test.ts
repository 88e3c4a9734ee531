/** What a cloud gets of a request beside its dialect, and what its own errors lead to. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatResponse, chatError } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { startCloudWorld } from './cloud-world.ts';
import type { CloudWorld } from './cloud-world.ts';
import { askBy } from './dialect-callers.ts';
import { startGateway } from './harness.ts';
import { askMessages, messageAnswer } from './signing-provider.ts';
import { startVirtualWorld } from './virtual.ts';

type ProviderInput = NonNullable<ConfigInput['providers']>[string];

const CLAUDE = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
const BEDROCK: ProviderInput = { preset: 'bedrock', apiKey: 'bedrock-key-1' };
const VERTEX: ProviderInput = { preset: 'vertex', apiKey: 'ya29.token-1', project: 'p-1' };
const turn = { role: 'user' as const, content: 'hello' };

function one(t: TestContext, provider: ProviderInput, model: string, apiKeys?: string[]): Promise<CloudWorld> {
  return startCloudWorld(t, {
    storms: { a: { keepBodies: 10, ...(apiKeys !== undefined && { apiKeys }) } },
    providers: { a: provider },
    models: { fast: [`a/${model}`] },
  });
}

const lastOf = (world: CloudWorld) => world.storms['a']!.stats().log.at(-1)!;

async function post(world: CloudWorld, text: string, headers: Record<string, string> = {}): Promise<Response> {
  const response = await world.post('/v1/messages', text, { headers: { 'anthropic-version': '2023-06-01', ...headers } });
  assert.equal(response.status, 200, await response.clone().text());
  return response;
}

describe('Claude at a cloud', () => {
  const body = (more: string): string =>
    `{ "model":"fast" ,"max_tokens" : 50,${more} "messages":[{"role":"user","content":"h\\u00e9"}],"x_unknown":1e2}`;

  it('gets the bytes of the caller without the model at Bedrock, and the betas in the body', async (t) => {
    const world = await one(t, BEDROCK, CLAUDE);
    await post(world, body('"stream":false,'), { 'anthropic-beta': 'a-2025-01-01, b-2025-02-02' });
    const { body: sent, headers } = lastOf(world);
    assert.equal(
      sent!.toString(),
      '{ "max_tokens" : 50, "messages":[{"role":"user","content":"h\\u00e9"}],"x_unknown":1e2,' +
        '"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a-2025-01-01","b-2025-02-02"]}',
    );
    assert.equal(headers!['anthropic-beta'], undefined);
    await post(world, body('"stream":true,'));
    assert.equal(lastOf(world).path, '/model/{id}/invoke-with-response-stream');
    assert.ok(!lastOf(world).body!.includes('stream') && !lastOf(world).body!.includes('anthropic_beta'));
  });

  it('gets the version that the route or the caller sets', async (t) => {
    const world = await startCloudWorld(t, {
      storms: { a: { keepBodies: 10 } },
      providers: { a: BEDROCK },
      models: { fast: [{ target: `a/${CLAUDE}`, set: { anthropic_version: 'of-the-route' } }], plain: [`a/${CLAUDE}`] },
    });
    const versionOf = async (model: string, more: object): Promise<unknown> => {
      await post(world, JSON.stringify({ model, max_tokens: 20, messages: [turn], ...more }));
      return (JSON.parse(lastOf(world).body!.toString()) as Record<string, unknown>)['anthropic_version'];
    };
    assert.equal(await versionOf('fast', {}), 'of-the-route');
    assert.equal(await versionOf('plain', { anthropic_version: 'of-the-caller' }), 'of-the-caller');
    assert.equal(await versionOf('plain', {}), 'bedrock-2023-05-31');
  });

  it('gets them without the model at Vertex, and the betas in the header', async (t) => {
    const world = await one(t, VERTEX, 'claude-sonnet-4-5');
    await post(world, body('"stream":false,'), { 'anthropic-beta': 'a-2025-01-01' });
    const { body: sent, headers } = lastOf(world);
    assert.equal(
      sent!.toString(),
      '{ "max_tokens" : 50,"stream":false, "messages":[{"role":"user","content":"h\\u00e9"}],"x_unknown":1e2,' +
        '"anthropic_version":"vertex-2023-10-16"}',
    );
    assert.equal(headers!['anthropic-beta'], 'a-2025-01-01');
  });

  it('counts tokens at Vertex, and by our estimate where Bedrock has no such call', async (t) => {
    const vertex = await one(t, VERTEX, 'claude-sonnet-4-5');
    const sdkOf = (world: CloudWorld): Anthropic => new Anthropic({ baseURL: world.url, apiKey: 'unused', maxRetries: 0 });
    const asked = { model: 'fast', messages: [turn] };
    const counted = await sdkOf(vertex).messages.countTokens(asked).withResponse();
    assert.ok(counted.data.input_tokens > 0);
    assert.equal(counted.response.headers.get('x-breakwater-estimated'), null);
    const bedrock = await one(t, BEDROCK, CLAUDE);
    const estimated = await sdkOf(bedrock).messages.countTokens(asked).withResponse();
    assert.equal(estimated.response.headers.get('x-breakwater-estimated'), 'true');
    assert.deepEqual(bedrock.calls(), [0]);
  });

  it('gets the version at Vertex where tokens are counted', async (t) => {
    const sent: unknown[] = [];
    const world = await startVirtualWorld(t, {
      domain: '.test',
      providers: {
        a: ({ request: { path }, body: text }): SimulatedResponse => {
          sent.push([path, JSON.parse(text)]);
          return {
            steps: [
              { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
              { do: 'send', bytes: '{"input_tokens":7}' },
            ],
          };
        },
      },
      configured: { a: { ...VERTEX, baseUrl: 'http://a.test' } },
      models: { fast: ['a/claude-sonnet-4-5'] },
    });
    const asked = { model: 'fast', messages: [turn] };
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify(asked) };
    const response = await world.until(world.fetch('http://breakwater/v1/messages/count_tokens', init));
    assert.deepEqual(await world.until(response.json()), { input_tokens: 7 });
    assert.deepEqual(sent, [
      [
        '/v1/projects/p-1/locations/global/publishers/anthropic/models/count-tokens:rawPredict',
        { ...asked, model: 'claude-sonnet-4-5', anthropic_version: 'vertex-2023-10-16' },
      ],
    ]);
  });

  it('is asked again without a field that Bedrock does not take, at the expense of no budget', async (t) => {
    const bodies: Record<string, unknown>[] = [];
    const refusal = 'Malformed input request: #: extraneous key [service_tier] is not permitted, please reformat your input and try again.';
    const world = await startVirtualWorld(t, {
      domain: '.test',
      providers: {
        a: (call): SimulatedResponse => {
          bodies.push(JSON.parse(call.body) as Record<string, unknown>);
          if (!call.body.includes('service_tier')) return messageAnswer('claude', [{ type: 'text', text: 'yes' }]);
          return {
            steps: [
              {
                do: 'head',
                status: 400,
                headers: { 'content-type': 'application/json', 'x-amzn-errortype': 'ValidationException:http://x/' },
              },
              { do: 'send', bytes: JSON.stringify({ message: refusal }) },
            ],
          };
        },
      },
      configured: { a: { ...BEDROCK, baseUrl: 'http://a.test' } },
      models: { fast: [`a/${CLAUDE}`] },
    });
    const seen = await askMessages(world, { model: 'fast', service_tier: 'auto', messages: [turn] });
    assert.equal(seen.status, 200, seen.text);
    assert.deepEqual(
      bodies.map((sent) => Object.keys(sent)),
      [
        ['max_tokens', 'service_tier', 'messages', 'anthropic_version'],
        ['max_tokens', 'messages', 'anthropic_version'],
      ],
    );
  });
});

describe("a cloud's own errors", () => {
  const bedrock = (status: number, name: string, message: string): SimulatedResponse => ({
    steps: [
      { do: 'head', status, headers: { 'content-type': 'application/json', 'x-amzn-errortype': `${name}:http://x/` } },
      { do: 'send', bytes: JSON.stringify({ message }) },
    ],
  });
  const google = (code: number, status: string, message: string): SimulatedResponse => ({
    steps: [
      { do: 'head', status: code, headers: { 'content-type': 'application/json' } },
      { do: 'send', bytes: JSON.stringify({ error: { code, message, status } }) },
    ],
  });
  const CASES: readonly (readonly [string, ProviderInput, string, SimulatedResponse, number, object, string])[] = [
    [
      'a prompt that is too long for Bedrock',
      BEDROCK,
      CLAUDE,
      bedrock(400, 'ValidationException', 'Input is too long for requested model.'),
      400,
      { type: 'invalid_request_error', message: 'prompt is too long: Input is too long for requested model.' },
      'context_length_exceeded',
    ],
    [
      'a model that Vertex does not have',
      VERTEX,
      'claude-sonnet-4-5',
      google(404, 'NOT_FOUND', 'Publisher Model `x` was not found.'),
      404,
      { type: 'not_found_error', message: 'Publisher Model `x` was not found.' },
      'model_not_found',
    ],
  ];

  for (const [name, provider, model, answer, status, words, code] of CASES) {
    it(`reach callers in their own form: ${name}`, async (t) => {
      const configured = { a: { ...provider, baseUrl: 'http://a.test' } };
      const world = await startVirtualWorld(t, {
        domain: '.test',
        providers: { a: () => answer },
        configured,
        models: { fast: [`a/${model}`] },
      });
      const seen = await askMessages(world, { model: 'fast', messages: [turn] });
      assert.equal(seen.status, status);
      const { type, error } = JSON.parse(seen.text) as { type: string; error: object };
      assert.deepEqual([type, error], ['error', words]);
      const chat = await world.answerTo();
      assert.equal(chat.status, status);
      assert.equal((JSON.parse(chat.text) as { error: { code: string } }).error.code, code);
    });
  }
});

describe('Azure', () => {
  const AZURE: ProviderInput = { preset: 'azure', apiKey: 'azure-key-1', baseUrl: 'http://a.test' };
  const worldOf = (t: TestContext, answer: (number: number) => SimulatedResponse, withOther = true) => {
    let calls = 0;
    return startVirtualWorld(t, {
      domain: '.test',
      providers: { a: () => answer(++calls), b: () => chatResponse({ words: ['from b'] }) },
      configured: { a: AZURE, b: { baseUrl: 'http://b.test/v1', apiKey: 'sk-b' } },
      models: { fast: withOther ? ['a/my-deployment', 'b/m'] : ['a/my-deployment'] },
    });
  };

  it('that filters a prompt passes it to another target, and keeps its health', async (t) => {
    const filtered = {
      message: 'The response was filtered due to the prompt triggering the content management policy.',
      code: 'content_filter',
      param: 'prompt',
      innererror: { code: 'ResponsibleAIPolicyViolation', content_filter_result: { hate: { filtered: true, severity: 'high' } } },
    };
    const world = await worldOf(t, () => chatError(400, filtered));
    for (let i = 0; i < 8; i++) assert.match((await world.answerTo()).text, /from b/);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [8, 8]);
    const alone = await worldOf(t, () => chatError(400, filtered), false);
    const seen = await alone.answerTo();
    assert.equal(seen.status, 400);
    assert.deepEqual((JSON.parse(seen.text) as { error: Record<string, unknown> }).error['innererror'], filtered.innererror);
    assert.equal(alone.callsTo('a'), 1);
  });

  it('that is limited is waited for as its retry-after-ms says', async (t) => {
    const limited = { message: 'Requests have exceeded the token rate limit. Please retry after 6 seconds.', code: '429' };
    const world = await worldOf(
      t,
      (number) => (number === 1 ? chatError(429, limited, { 'retry-after': '6', 'retry-after-ms': '5500' }) : chatResponse()),
      false,
    );
    const seen = await world.answerTo();
    assert.equal(seen.status, 200);
    assert.ok(seen.headAtMs >= 5500 && seen.headAtMs < 6000, String(seen.headAtMs));
    assert.equal(world.callsTo('a'), 2);
  });

  it('that sends chunks without choices, or with annotations only, is relayed as it is', async (t) => {
    const chunk = (value: object): string =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'gpt', ...value })}\n\n`;
    const bytes =
      chunk({ choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: { hate: { filtered: false } } }] }) +
      chunk({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }) +
      chunk({ choices: [{ index: 0, delta: { content: 'hello' }, finish_reason: null }] }) +
      chunk({
        choices: [{ index: 0, content_filter_offsets: { check_offset: 1 }, content_filter_results: {}, delta: {}, finish_reason: null }],
      }) +
      chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }) +
      'data: [DONE]\n\n';
    const world = await worldOf(t, () => ({
      steps: [
        { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
        { do: 'send', bytes },
      ],
    }));
    const seen = await world.answerTo({ stream: true, stream_options: { include_usage: true } });
    assert.equal(seen.text, bytes);
    assert.equal(world.callsTo('b'), 0);
  });
});

describe('a provider of several makers', () => {
  it('asks each model in what its name or its setting says', async (t) => {
    const storm = { keepBodies: 10 };
    const world = await startCloudWorld(t, {
      storms: { azure: storm, bedrock: storm, vertex: storm },
      providers: {
        azure: { apiKey: 'azure-key-1', models: { 'my-assistant': { protocol: 'anthropic' } } },
        bedrock: {
          apiKey: 'bedrock-key-1',
          models: { 'arn:aws:bedrock:us-east-1:1:application-inference-profile/x': { protocol: 'anthropic' } },
        },
        vertex: VERTEX,
      },
      models: {},
    });
    const pathOf = async (model: string): Promise<string> => {
      const name = model.slice(0, model.indexOf('/'));
      assert.equal((await world.chat({ model })).status, 200, model);
      return world.storms[name]!.stats().log.at(-1)!.path;
    };
    assert.equal(await pathOf('azure/my-assistant'), '/v1/messages');
    assert.equal(await pathOf('azure/gpt-5'), '/openai/v1/chat/completions');
    assert.equal(await pathOf('bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/x'), '/model/{id}/invoke');
    assert.equal(await pathOf('bedrock/global.anthropic.claude-opus-4-5-v1:0'), '/model/{id}/invoke');
    assert.equal(await pathOf('bedrock/us.meta.llama4-maverick-17b-instruct-v1:0'), '/model/{id}/converse');
    assert.equal(await pathOf('bedrock/openai.gpt-oss-20b-1:0'), '/openai/v1/chat/completions');
    assert.match(await pathOf('vertex/claude-haiku-4-5@20251001'), /anthropic\/models\/\{model\}:rawPredict$/);
    assert.match(await pathOf('vertex/gemini-2.5-pro'), /google\/models\/\{model\}:generateContent$/);
  });

  it("gets the caller's own credential in the header that it reads", async (t) => {
    for (const [preset, model, header] of [
      ['azure', 'gpt-5', 'api-key'],
      ['bedrock', CLAUDE, 'authorization'],
      ['vertex', 'gemini-2.5-pro', 'x-goog-api-key'],
    ] as const) {
      const world = await one(t, { preset, apiKey: 'caller', ...(preset === 'vertex' && { project: 'p-1' }) }, model);
      await post(world, JSON.stringify({ model: 'fast', max_tokens: 20, messages: [turn] }), { 'x-api-key': 'key-of-the-caller' });
      const value = lastOf(world).headers![header];
      assert.equal(value, header === 'authorization' ? 'Bearer key-of-the-caller' : 'key-of-the-caller', preset);
    }
  });
});

describe('signatures', () => {
  const scope = (date: string, service: string): RegExp =>
    new RegExp(
      `^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/${date}/eu-west-1/${service}/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$`,
    );
  const aws = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a-long-secret-access-key', sessionToken: 'a-long-session-token' };

  it('are made for every attempt, with the time of the attempt', async (t) => {
    const sent: Record<string, string>[] = [];
    const world = await startVirtualWorld(t, {
      domain: '.test',
      providers: {
        a: ({ request: { headers } }): SimulatedResponse => {
          sent.push(Object.fromEntries(headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]!]] : []))));
          return sent.length === 1 ? chatError(503, {}, { 'retry-after': '5' }) : chatResponse();
        },
      },
      configured: { a: { preset: 'bedrock', protocol: 'openai', service: 'mantle', region: 'eu-west-1', aws, baseUrl: 'http://a.test' } },
      models: { fast: ['a/openai.gpt-oss-120b'] },
    });
    assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual([sent.length, sent[0]!['x-amz-date']], [2, '20250101T000000Z']);
    assert.match(sent[1]!['x-amz-date']!, /^20250101T00000[5-9]Z$/);
    for (const headers of sent) {
      assert.match(headers['authorization']!, scope('20250101', 'bedrock-mantle'));
      assert.equal(headers['x-amz-security-token'], aws.sessionToken);
    }
    assert.notEqual(sent[0]!['authorization'], sent[1]!['authorization']);
  });

  it('come from the profile as it is now: replaced credentials are read after a refusal, and the request is repeated', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'breakwater-aws-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const credentialsFile = join(directory, 'credentials');
    const write = (id: string): void =>
      writeFileSync(
        credentialsFile,
        `[default]\naws_access_key_id = OTHER\naws_secret_access_key=x\n\n[dev] ; of the team\naws_access_key_id = ${id}\n` +
          `aws_secret_access_key = secret/of+${id} # written by a tool\naws_session_token=session-of-${id}\n`,
      );
    write('AKIDOFTHEPAST');
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(`${/Credential=(\w+)/.exec(request.headers.authorization!)![1]!} ${String(request.headers['x-amz-security-token'])}`);
      request.resume().on('end', () => {
        const isPast = seen.length === 1;
        if (isPast) write('AKIDOFTODAY');
        const refusal = { message: 'The security token included in the request is expired' };
        const message = { id: 'm', type: 'message', role: 'assistant', model: 'c', content: [{ type: 'text', text: 'yes' }], usage: {} };
        response.writeHead(isPast ? 403 : 200, { 'content-type': 'application/json', 'x-amzn-errortype': 'ExpiredTokenException' });
        response.end(JSON.stringify(isPast ? refusal : { ...message, stop_reason: 'end_turn' }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const profile = { profile: 'dev', credentialsFile, configFile: join(directory, 'none') };
    const gateway = await startGateway({
      providers: { a: { preset: 'bedrock', region: 'us-east-1', aws: profile, baseUrl } },
      models: { fast: [`a/${CLAUDE}`] },
    });
    t.after(() => gateway.close());
    const heard = await askBy('anthropic', gateway.url, fetch, { stream: false, body: { messages: [turn] } });
    assert.equal(heard.text, 'yes', heard.raw);
    assert.deepEqual(seen, ['AKIDOFTHEPAST session-of-AKIDOFTHEPAST', 'AKIDOFTODAY session-of-AKIDOFTODAY']);
    assert.equal(heard.headers.get('x-breakwater-attempts'), '2');
  });
});
