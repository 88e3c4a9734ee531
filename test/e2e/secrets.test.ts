/** No secret of ours reaches a caller, an operator's page or an event, in whatever form a provider sends it back. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { parseConfig } from '../../src/gateway/config/index.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import { createSimulatedUpstream, type SimulatedResponse, type SimulatedStep } from '../../src/testing/simulated-upstream.ts';
import { chatResponse, streamEnd, streamStart } from '../../src/testing/simulated-chat.ts';
import { startGateway } from './harness.ts';
import { drive } from './virtual.ts';

const KEY = 'sk-live-very/secret-1';
const OTHER_KEY = 'sk-other-account-2';
const HEADER = 'team-header-value-3';
const CLIENT_KEY = 'client-key-of-web-4';
const ADMIN_KEY = 'admin-key-of-ours-5';
const ALL = [KEY, OTHER_KEY, HEADER, CLIENT_KEY, ADMIN_KEY];
const EVERY = ALL.join(' | ');
const stars = (text: string): string => '*'.repeat(text.length);

async function start(t: TestContext, answer: () => SimulatedResponse) {
  const clock = createManualClock();
  const transport = createSimulatedUpstream(clock, answer);
  const gateway = await startGateway(
    {
      providers: {
        a: { baseUrl: 'http://a/v1', apiKey: KEY, headers: { 'x-team': HEADER } },
        b: { baseUrl: 'http://b/v1', apiKey: OTHER_KEY },
      },
      models: { fast: ['a/m'] },
      clients: [{ name: 'web', key: CLIENT_KEY }],
      server: { adminKey: ADMIN_KEY },
    },
    { clock, transport, timelines: true },
  );
  t.after(() => gateway.close());
  const ask = async (path: string, body: object): Promise<{ response: Response; text: string }> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${CLIENT_KEY}` };
    const asked = gateway.fetch(`http://breakwater${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const response = await drive(clock, asked);
    return { response, text: await drive(clock, response.text()) };
  };
  return { ...gateway, ask };
}

const chat = { model: 'fast', messages: [{ role: 'user', content: 'hi' }] };

function head(status: number, headers: Record<string, string> = {}): SimulatedStep {
  return { do: 'head', status, headers: { 'content-type': 'application/json', ...headers } };
}

function assertNone(text: string, where: string): void {
  for (const secret of ALL) {
    for (const form of [secret, secret.replaceAll('/', '\\/'), encodeURIComponent(secret)])
      assert.ok(!text.includes(form), `${where}: ${form}`);
  }
}

test('every secret of the config is masked in a body, not only the key of the target', async (t) => {
  const { ask } = await start(t, () => chatResponse({ words: [EVERY] }));
  const { response, text } = await ask('/v1/chat/completions', chat);
  assert.equal(response.status, 200);
  assertNone(text, 'body');
  assert.ok(text.includes(stars(CLIENT_KEY)));
});

test('every secret is masked in an error, in events and in the timeline', async (t) => {
  const error = { error: { message: `wrong: ${EVERY}`, type: 'invalid_request_error', code: 'bad', param: null } };
  const { ask, events, fetch } = await start(t, () => ({
    steps: [head(400), { do: 'send', bytes: JSON.stringify(error).replaceAll('/', '\\/') }],
  }));
  const { response, text } = await ask('/v1/chat/completions', chat);
  assert.equal(response.status, 400);
  assertNone(text, 'error');
  assertNone(JSON.stringify(events), 'events');
  const id = response.headers.get('x-request-id')!;
  const shown = await fetch(`http://breakwater/admin/requests/${id}`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  assert.equal(shown.status, 200);
  assertNone(await shown.text(), 'timeline');
});

test('every response header that is passed on is masked', async (t) => {
  const headers = {
    'content-type': `application/json; note=${KEY}`,
    'x-request-id': `id-${HEADER}`,
    'openai-model': `m-${OTHER_KEY}`,
    'openai-version': CLIENT_KEY,
    'content-language': ADMIN_KEY,
  };
  const answer = chatResponse();
  const steps = [...answer.steps].map((step): SimulatedStep => (step.do === 'head' ? { ...step, headers } : step));
  const { ask } = await start(t, () => ({ steps }));
  const { response } = await ask('/v1/chat/completions', chat);
  assert.equal(response.headers.get('x-upstream-request-id'), `id-${stars(HEADER)}`);
  assertNone(JSON.stringify([...response.headers]), 'headers');
});

for (const [where, words] of [
  ['in the middle', ['so ', KEY.slice(0, 9), `${KEY.slice(9)} it is`]],
  ['in many parts', ['x ', 'sk-l', 'ive-v', 'ery/se', 'cret', '-1', ' end']],
] as const) {
  test(`a secret that a stream splits ${where} is masked, and the other bytes stay as they are`, async (t) => {
    const { ask } = await start(t, () => ({ steps: [...streamStart({ words }), ...streamEnd()] }));
    const { text } = await ask('/v1/chat/completions', { ...chat, stream: true });
    const plain = await start(t, () => ({
      steps: [
        ...streamStart({
          words: words.map((word) => (KEY.includes(word) ? stars(word) : word.replace(KEY.slice(9), stars(KEY.slice(9))))),
        }),
        ...streamEnd(),
      ],
    }));
    assert.equal(text, (await plain.ask('/v1/chat/completions', { ...chat, stream: true })).text);
    assert.match(text, /\[DONE\]/);
  });
}

test('a stream that breaks off after the beginning of a secret still passes what came before', async (t) => {
  const { ask } = await start(t, () => ({ steps: [...streamStart({ words: ['well ', 'sk-l'] }), { do: 'break', code: 'ECONNRESET' }] }));
  const { text } = await ask('/v1/chat/completions', { ...chat, stream: true });
  assert.match(text, /"sk-l"/);
  assert.match(text, /stream_interrupted/);
});

test('bytes of other endpoints are masked, cut wherever they come', async (t) => {
  const body = JSON.stringify({ results: [{ flagged: false, echo: EVERY }] });
  const steps = [head(200), ...[...body.matchAll(/.{1,7}/g)].map(([bytes]): SimulatedStep => ({ do: 'send', bytes }))];
  const { ask } = await start(t, () => ({ steps }));
  const { response, text } = await ask('/v1/moderations', { model: 'fast', input: 'x' });
  assert.equal(response.status, 200);
  assert.equal(
    text,
    ALL.reduce((masked, secret) => masked.replaceAll(secret, stars(secret)), body),
  );
});

test('a reload masks the new keys at once, and the old ones where they are still in use', async (t) => {
  const { ask, gateway } = await start(t, () => chatResponse({ words: ['new-client-key-6 ', KEY] }));
  const parsed = parseConfig(
    {
      providers: { a: { baseUrl: 'http://a/v1', apiKey: KEY } },
      models: { fast: ['a/m'] },
      clients: [
        { name: 'web', key: CLIENT_KEY },
        { name: 'new', key: 'new-client-key-6' },
      ],
    },
    { source: 'library' },
  );
  assert.ok(parsed.ok);
  await gateway.reload(parsed.config);
  assert.doesNotMatch((await ask('/v1/chat/completions', chat)).text, /new-client-key-6|very/);
});

test('what only looks like a secret, short or trivial, is left alone', async (t) => {
  const clock = createManualClock();
  const words = ['true 12345678 http://a/v1 sk-test research fast a/m'];
  const transport = createSimulatedUpstream(clock, () => chatResponse({ words }));
  const gateway = await startGateway(
    {
      providers: {
        a: {
          baseUrl: 'http://a/v1',
          apiKey: 'sk-test',
          headers: { 'x-a': 'true', 'x-b': '12345678', 'x-c': 'research', 'x-d': 'http://a/v1' },
        },
      },
      models: { fast: ['a/m'] },
    },
    { clock, transport },
  );
  t.after(() => gateway.close());
  const response = await drive(
    clock,
    gateway.fetch('http://breakwater/v1/chat/completions', { method: 'POST', body: JSON.stringify(chat) }),
  );
  assert.ok((await response.text()).includes(words[0]!));
});
