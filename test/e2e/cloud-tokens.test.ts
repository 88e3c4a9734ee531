/** Access tokens of the clouds, in virtual time: who asks for them when, and what becomes of requests where there is none. */
import assert from 'node:assert/strict';
import { createVerify, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { parseConfig } from '../../src/gateway/config/index.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { chatResponse, chatError } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';

type Script = (call: SimulatedCall) => SimulatedResponse;
type ProviderInput = NonNullable<ConfigInput['providers']>[string];

const MINUTE = 60_000;
const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const EMAIL = 'breakwater@p-1.iam.gserviceaccount.com';
const SERVICE_ACCOUNT = {
  type: 'service_account',
  project_id: 'p-1',
  private_key_id: 'key-id-1',
  private_key: privateKey,
  client_email: EMAIL,
  token_uri: 'http://token.test/token',
};
const VERTEX: ProviderInput = {
  preset: 'vertex',
  protocol: 'openai',
  baseUrl: 'http://a.test',
  project: 'p-1',
  location: 'us-central1',
  google: { key: JSON.stringify(SERVICE_ACCOUNT) },
};

const json = (status: number, body: object, afterMs = 0): SimulatedResponse => ({
  steps: [
    { do: 'wait', ms: afterMs },
    { do: 'head', status, headers: { 'content-type': 'application/json' } },
    { do: 'send', bytes: JSON.stringify(body) },
  ],
});
const SILENCE: SimulatedResponse = { steps: [{ do: 'wait', ms: Infinity }] };

interface TokenWorld extends VirtualWorld {
  /** What the provider got as credential, call by call. */
  readonly bearers: string[];
  readonly tokenCalls: SimulatedCall[];
  /** What the token server answers; default: tokens for an hour, after 100 ms. */
  token: (number: number) => SimulatedResponse;
  /** What the provider answers; default: a chat response. */
  answer: (number: number, bearer: string) => SimulatedResponse;
}

const headerOf = ({ request: { headers } }: SimulatedCall, name: string): string =>
  headers[headers.findIndex((found, i) => i % 2 === 0 && found === name) + 1] ?? '';

async function start(
  t: TestContext,
  provider: ProviderInput = VERTEX,
  more: { readonly b?: Script; readonly token?: TokenWorld['token'] } = {},
): Promise<TokenWorld> {
  const state = {
    bearers: [] as string[],
    tokenCalls: [] as SimulatedCall[],
    token: more.token ?? ((number: number) => json(200, { access_token: `access-token-${number}`, expires_in: 3600 }, 100)),
    answer: (): SimulatedResponse => chatResponse(),
  } as Pick<TokenWorld, 'bearers' | 'tokenCalls' | 'token' | 'answer'>;
  const world = await startVirtualWorld(t, {
    domain: '.test',
    providers: {
      a: (call) => {
        state.bearers.push(headerOf(call, 'authorization'));
        return state.answer(state.bearers.length, state.bearers.at(-1)!);
      },
      token: (call) => {
        state.tokenCalls.push(call);
        return state.token(state.tokenCalls.length);
      },
      b: more.b ?? (() => chatResponse({ words: ['from b'] })),
    },
    configured: { a: provider, ...(more.b !== undefined && { b: { baseUrl: 'http://b.test/v1', apiKey: 'sk-b' } }) },
    models: { fast: ['a/m', ...(more.b === undefined ? [] : ['b/m'])] },
  });
  return Object.assign(state, world);
}

describe('access tokens', () => {
  it("are asked for with the service account's signature, before any request", async (t) => {
    const world = await start(t);
    await world.clock.advanceAsync(1000);
    assert.equal(world.tokenCalls.length, 1);
    const [call] = world.tokenCalls;
    const form = new URLSearchParams(call!.body);
    assert.equal(form.get('grant_type'), 'urn:ietf:params:oauth:grant-type:jwt-bearer');
    const [head, claims, signature] = form.get('assertion')!.split('.') as [string, string, string];
    const read = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());
    assert.deepEqual(read(head), { alg: 'RS256', typ: 'JWT', kid: 'key-id-1' });
    const { iat, exp, ...rest } = read(claims) as { iat: number; exp: number };
    assert.deepEqual(rest, { iss: EMAIL, scope: 'https://www.googleapis.com/auth/cloud-platform', aud: 'http://token.test/token' });
    assert.deepEqual([exp - iat, iat], [3600, Math.floor(Date.UTC(2025, 0, 1) / 1000)]);
    assert.ok(createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(publicKey, signature, 'base64url'));
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, seen.headAtMs], [200, 0]);
    assert.deepEqual(world.bearers, ['Bearer access-token-1']);
    assert.equal(world.upstream.calls.at(-1)!.request.path, '/v1/projects/p-1/locations/us-central1/endpoints/openapi/chat/completions');
  });

  it('that are on their way serve everyone who waits with one request for a token', async (t) => {
    const world = await start(t);
    const seen = await world.until(Promise.all(Array.from({ length: 50 }, () => world.ask().done)));
    assert.ok(seen.every(({ status, headAtMs }) => status === 200 && headAtMs === 100));
    assert.equal(world.tokenCalls.length, 1);
    assert.deepEqual(new Set(world.bearers), new Set(['Bearer access-token-1']));
    assert.equal(world.bearers.length, 50);
  });

  it('are renewed before they end, while no request waits', async (t) => {
    const world = await start(t);
    await world.clock.advanceAsync(54 * MINUTE);
    assert.equal(world.tokenCalls.length, 1);
    await world.clock.advanceAsync(2 * MINUTE);
    assert.equal(world.tokenCalls.length, 2);
    await world.clock.advanceAsync(5 * MINUTE);
    assert.equal((await world.answerTo()).headAtMs, 0);
    assert.deepEqual(world.bearers, ['Bearer access-token-2']);
    await world.clock.advanceAsync(10 * 60 * MINUTE);
    assert.ok(world.tokenCalls.length >= 12 && world.tokenCalls.length <= 13, String(world.tokenCalls.length));
  });

  it('stay in use until they expire while the token server is down; then the error names the cause, and requests succeed once it is back', async (t) => {
    const world = await start(t);
    await world.clock.advanceAsync(MINUTE);
    world.token = () => json(503, { error: 'temporarily_unavailable' });
    await world.clock.advanceAsync(58 * MINUTE);
    assert.equal((await world.answerTo()).status, 200);
    await world.clock.advanceAsync(2 * MINUTE);
    const asked = world.tokenCalls.length;
    const upstreamCalls = world.bearers.length;
    const refused = await world.answerTo({}, { 'x-breakwater-deadline-ms': '20000' });
    assert.ok(refused.status >= 500, String(refused.status));
    assert.match(refused.text, /no access token: token\.test responded with 503 temporarily_unavailable/);
    assert.ok(refused.endAtMs <= 20_000);
    assert.equal(world.bearers.length, upstreamCalls);
    assert.ok(world.tokenCalls.length - asked <= 2, `${world.tokenCalls.length - asked} calls to the token server`);
    world.token = () => json(200, { access_token: 'access-token-later', expires_in: 3600 });
    await world.clock.advanceAsync(2 * MINUTE);
    assert.equal((await world.answerTo()).status, 200);
    assert.equal(world.bearers.at(-1), 'Bearer access-token-later');
    const warnings = world.eventsOf('warning').filter(({ message }) => message.includes('access token'));
    assert.equal(warnings.length, 1);
  });

  it('that never come hold up no request longer than a connection may, and another provider serves it', async (t) => {
    const token = (): SimulatedResponse => SILENCE;
    const world = await start(t, VERTEX, { token, b: () => chatResponse({ words: ['from b'] }) });
    const seen = await world.answerTo();
    assert.equal(seen.status, 200);
    assert.match(seen.text, /from b/);
    assert.ok(seen.endAtMs <= 3000, String(seen.endAtMs));
    const alone = await start(t, VERTEX, { token });
    const failed = await alone.answerTo({}, { 'x-breakwater-deadline-ms': '15000' });
    assert.ok(failed.status >= 500 && failed.endAtMs <= 15_000);
    assert.match(failed.text, /no credentials within|no access token/);
    assert.equal(alone.bearers.length, 0);
  });

  it('that are refused count as a refusal of our credential, without a call to the provider', async (t) => {
    const token = (): SimulatedResponse => json(400, { error: 'invalid_grant', error_description: 'Account not found' });
    const world = await start(t, VERTEX, { token });
    const seen = await world.answerTo();
    assert.equal(seen.status, 502);
    assert.match(seen.text, /upstream_auth_failed/);
    assert.equal(world.bearers.length, 0);
    const [attempt] = world.eventsOf('attempt_end');
    assert.equal(attempt!.reason, 'auth');
    assert.match(JSON.stringify(attempt), /token\.test responded with 400 invalid_grant: Account not found/);
  });

  it('that the provider refuses are renewed once, and the request is repeated at the expense of no budget', async (t) => {
    const world = await start(t);
    world.answer = (number) =>
      number === 1 ? chatError(401, { message: 'Request had invalid authentication credentials' }) : chatResponse();
    const seen = await world.answerTo();
    assert.equal(seen.status, 200);
    assert.deepEqual(world.bearers, ['Bearer access-token-1', 'Bearer access-token-2']);
    assert.equal(world.tokenCalls.length, 2);
    assert.equal(seen.headers.get('x-breakwater-attempts'), '2');
    assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual([world.bearers.length, world.tokenCalls.length], [3, 2]);
  });

  it('that are refused again are not renewed again: the provider refuses the account', async (t) => {
    const world = await start(t);
    world.answer = () => chatError(401, { message: 'Request had invalid authentication credentials' });
    const seen = await world.answerTo();
    assert.equal(seen.status, 502);
    assert.match(seen.text, /upstream_auth_failed/);
    assert.deepEqual([world.bearers.length, world.tokenCalls.length], [2, 2]);
    await world.answerTo();
    assert.equal(world.tokenCalls.length, 2);
  });

  it('that are refused for many at once are renewed by one request for a token', async (t) => {
    const world = await start(t);
    await world.clock.advanceAsync(1000);
    world.answer = (_number, bearer) => (bearer.endsWith('-1') ? chatError(401) : chatResponse());
    const seen = await world.until(Promise.all(Array.from({ length: 20 }, () => world.ask().done)));
    assert.deepEqual(
      seen.map(({ status }) => status),
      seen.map(() => 200),
    );
    const first = world.bearers.filter((bearer) => bearer.endsWith('-1')).length;
    assert.ok(first <= 20 && first > 1, String(first));
    assert.deepEqual([world.bearers.length, world.tokenCalls.length], [20 + first, 2]);
  });

  it('are not waited for once the caller has left', async (t) => {
    const token = (): SimulatedResponse => json(200, { access_token: 'access-token-1', expires_in: 3600 }, 2000);
    const world = await start(t, VERTEX, { token });
    const asked = world.ask();
    await world.clock.advanceAsync(500);
    const left = assert.rejects(asked.done);
    asked.leave();
    await world.clock.advanceAsync(5000);
    await left;
    assert.equal(world.bearers.length, 0);
    assert.equal((await world.answerTo()).status, 200);
    assert.equal(world.bearers.length, 1);
  });

  it('and keys are masked where a provider or a token server sends them back', async (t) => {
    const world = await start(t);
    await world.clock.advanceAsync(1000);
    world.answer = () => chatError(400, { message: 'bad token access-token-1', code: 'odd' });
    const seen = await world.answerTo();
    assert.ok(!seen.text.includes('access-token-1'), seen.text);
    const line = privateKey.split('\n')[3]!;
    world.answer = () => chatResponse({ words: [line, ' access-token-1'] });
    const echoed = await world.answerTo();
    assert.ok(!echoed.text.includes(line) && !echoed.text.includes('access-token-1'), echoed.text);
  });

  it('of a signed-in user are asked for with the refresh token', async (t) => {
    const user = {
      type: 'authorized_user',
      client_id: 'client-1',
      client_secret: 'client-secret-1',
      refresh_token: 'refresh-token-1',
      token_uri: 'http://token.test/token',
    };
    const world = await start(t, { ...VERTEX, google: { key: JSON.stringify(user) } });
    assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual(Object.fromEntries(new URLSearchParams(world.tokenCalls[0]!.body)), {
      grant_type: 'refresh_token',
      client_id: 'client-1',
      client_secret: 'client-secret-1',
      refresh_token: 'refresh-token-1',
    });
  });

  it('of an application of Entra are asked for with its secret, and sent to Azure as bearer', async (t) => {
    const world = await start(t, {
      preset: 'azure',
      baseUrl: 'http://a.test',
      entra: { tenantId: 'tenant-1', clientId: 'app-1', clientSecret: 'secret-of-app-1', authority: 'http://token.test' },
    });
    assert.equal((await world.answerTo()).status, 200);
    const [call] = world.tokenCalls;
    assert.equal(call!.request.path, '/tenant-1/oauth2/v2.0/token');
    assert.deepEqual(Object.fromEntries(new URLSearchParams(call!.body)), {
      grant_type: 'client_credentials',
      client_id: 'app-1',
      client_secret: 'secret-of-app-1',
      scope: 'https://cognitiveservices.azure.com/.default',
    });
    assert.deepEqual(world.bearers, ['Bearer access-token-1']);
  });

  it('outlive a reload that leaves their account as it is, and end with one that removes it', async (t) => {
    const world = await start(t, VERTEX, { b: () => chatResponse() });
    await world.clock.advanceAsync(1000);
    const reload = (providers: Readonly<Record<string, ProviderInput>>, model: string): Promise<void> => {
      const parsed = parseConfig({ providers, models: { fast: [model] } }, { source: 'library' });
      assert.ok(parsed.ok);
      return world.until(world.gateway.reload(parsed.config));
    };
    await reload({ a: { ...VERTEX, limits: { requestsPerMinute: 600 } } }, 'a/m');
    assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual([world.tokenCalls.length, world.bearers], [1, ['Bearer access-token-1']]);
    const other = { ...SERVICE_ACCOUNT, private_key_id: 'key-id-2' };
    await reload({ a: { ...VERTEX, google: { key: JSON.stringify(other) } } }, 'a/m');
    assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual([world.tokenCalls.length, world.bearers.at(-1)], [2, 'Bearer access-token-2']);
    await reload({ b: { baseUrl: 'http://b.test/v1', apiKey: 'sk-b' } }, 'b/m');
    await world.clock.advanceAsync(5 * 60 * MINUTE);
    assert.equal(world.tokenCalls.length, 2);
  });

  it('end with the gateway: nothing is asked for after it has closed', async (t) => {
    const world = await start(t);
    await world.clock.advanceAsync(1000);
    await world.close();
    await world.clock.advanceAsync(3 * 60 * MINUTE);
    assert.equal(world.tokenCalls.length, 1);
  });
});
