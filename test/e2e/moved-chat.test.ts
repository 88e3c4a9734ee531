/** Chat conversations with the opaque pieces of their hosts (OpenRouter's reasoning_details, Google's thought signatures), moved between keys and hosts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { keyIn } from './signing-provider.ts';
import { openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualSeen, VirtualWorld } from './virtual.ts';

type Fields = Record<string, unknown>;
interface Message extends Fields {
  readonly reasoning_details?: readonly Fields[];
  readonly tool_calls?: readonly Fields[];
}

const SKIP = 'skip_thought_signature_validator';
/** A response never shows a key. */
const accountOf = (call: SimulatedCall): string => `account ${keyIn(call).slice(-12)}`;
const messagesIn = ({ body }: SimulatedCall): Message[] => (JSON.parse(body) as { messages: Message[] }).messages;
const detailsIn = (call: SimulatedCall): Fields[] => messagesIn(call).flatMap(({ reasoning_details: details }) => details ?? []);
const signaturesIn = (call: SimulatedCall): unknown[] =>
  messagesIn(call)
    .flatMap(({ tool_calls: calls }) => calls ?? [])
    .map((one) => (one['extra_content'] as { google: Fields } | undefined)?.google['thought_signature']);

/** Answers with the message, whole or as a stream. */
function answer(call: SimulatedCall, message: Fields): SimulatedResponse {
  const isStream = (JSON.parse(call.body) as { stream?: boolean }).stream === true;
  const finish = message['tool_calls'] === undefined ? 'stop' : 'tool_calls';
  const chunk = (choice: Fields): string =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, ...choice }] })}\n\n`;
  const bytes = isStream
    ? chunk({ delta: message, finish_reason: null }) + chunk({ delta: {}, finish_reason: finish }) + 'data: [DONE]\n\n'
    : JSON.stringify({ id: 'c', choices: [{ index: 0, message, finish_reason: finish }] });
  return {
    steps: [
      { do: 'head', status: 200, headers: { 'content-type': isStream ? 'text/event-stream' : 'application/json' } },
      { do: 'send', bytes },
    ],
  };
}

/** Encrypts its reasoning, and refuses what others have encrypted. */
const encrypting = (call: SimulatedCall): SimulatedResponse => {
  const key = accountOf(call);
  if (detailsIn(call).some(({ data }) => !String(data).startsWith(`${key}:`)))
    return openai(400, 'invalid_encrypted_content', 'invalid_request_error', 'The encrypted content could not be verified.');
  const details = [{ type: 'reasoning.encrypted', data: `${key}:${call.number}` }];
  return answer(call, { role: 'assistant', content: `answer ${call.number}`, reasoning_details: details });
};

/** Wants a signature with every call, its own or none at all. */
const signing = (call: SimulatedCall): SimulatedResponse => {
  const key = accountOf(call);
  if (signaturesIn(call).some((signature) => signature !== SKIP && !String(signature).startsWith(`${key}:`)))
    return openai(400, 'INVALID_ARGUMENT', 'invalid_request_error', 'Thought signature is not valid');
  const calls = [
    {
      index: 0,
      id: `call_${call.number}`,
      type: 'function',
      function: { name: 'f', arguments: '{}' },
      extra_content: { google: { thought_signature: `${key}:${call.number}` } },
    },
  ];
  return answer(call, { role: 'assistant', content: null, tool_calls: calls });
};

async function stage(t: TestContext): Promise<VirtualWorld> {
  const of = (host: string, ...apiKeys: string[]) => ({ protocol: 'openai' as const, baseUrl: `http://${host}/v1`, apiKeys });
  return startVirtualWorld(t, {
    providers: { router: encrypting, spare: encrypting, google: signing },
    configured: {
      router: of('router', 'sk-router-key-1', 'sk-router-key-2'),
      spare: of('spare', 'sk-spare-key-1'),
      google: of('google', 'sk-google-key-1', 'sk-google-key-2'),
    },
    models: { any: ['router/m', 'spare/m'] },
  });
}

function messageOf({ text }: VirtualSeen): Message {
  if (text.startsWith('{')) return (JSON.parse(text) as { choices: { message: Message }[] }).choices[0]!.message;
  return (JSON.parse(text.slice('data: '.length, text.indexOf('\n'))) as { choices: { delta: Message }[] }).choices[0]!.delta;
}

const user = { role: 'user', content: 'go on' };

describe('a chat conversation with pieces that only one account reads', { concurrency: 4 }, () => {
  for (const stream of [false, true]) {
    it(`stays with its account, and gives another one the rest, ${stream ? 'streamed' : 'in one piece'}`, async (t) => {
      const world = await stage(t);
      const messages: Message[] = [];
      const models = ['router/m', 'router/m', 'spare/m', 'router/m', 'spare/m', 'router/m'];
      const makers: string[] = [];
      for (const [i, model] of models.entries()) {
        messages.push(user);
        const seen = await world.answerTo({ model, messages, stream });
        assert.equal(seen.status, 200, seen.text);
        assert.equal(world.upstream.calls.length, i + 1);
        const call = world.upstream.calls.at(-1)!;
        const own = makers.filter((key) => key === accountOf(call)).length;
        assert.equal(detailsIn(call).length, own);
        assert.equal(seen.headers.get('x-breakwater-dropped'), own === makers.length ? null : 'reasoning_details');
        assert.ok(!call.body.includes('"reasoning_details":[]'));
        makers.push(accountOf(call));
        messages.push(messageOf(seen));
      }
      assert.equal(new Set(makers).size, 2, 'one of the two keys of the router');
    });
  }

  it('is repaired where nobody knows who made them', async (t) => {
    const world = await stage(t);
    const messages = [
      user,
      { role: 'assistant', content: 'x', reasoning_details: [{ type: 'reasoning.encrypted', data: 'unknown' }] },
      user,
    ];
    const first = await world.answerTo({ model: 'spare/m', messages });
    assert.deepEqual([first.status, world.upstream.calls.length, first.headers.get('x-breakwater-dropped')], [200, 2, 'reasoning_details']);
    assert.equal((await world.answerTo({ model: 'spare/m', messages: [...messages, messageOf(first), user] })).status, 200);
    assert.equal(world.upstream.calls.length, 3);
    assert.equal(detailsIn(world.upstream.calls.at(-1)!).length, 1);
  });

  it("keeps a call's place where its signature is another account's", async (t) => {
    const world = await stage(t);
    const seen = await world.answerTo({ model: 'google/gemini-3-pro', messages: [user] });
    const home = accountOf(world.upstream.calls[0]!);
    const call = messageOf(seen);
    const messages = [user, call, { role: 'tool', tool_call_id: 'call_1', content: 'done' }];
    assert.equal((await world.answerTo({ model: 'google/gemini-3-pro', messages })).status, 200);
    assert.deepEqual([accountOf(world.upstream.calls[1]!), signaturesIn(world.upstream.calls[1]!)], [home, [`${home}:1`]]);
    const moved = await world.answerTo({ model: 'google/gemini-3-flash', messages });
    assert.deepEqual([moved.status, moved.headers.get('x-breakwater-dropped')], [200, 'thought_signature']);
    assert.deepEqual(signaturesIn(world.upstream.calls[2]!), [SKIP]);
    await world.answerTo({ model: 'spare/m', messages });
    assert.ok(!world.upstream.calls[3]!.body.includes('extra_content'));
  });
});
