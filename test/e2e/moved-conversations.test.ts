/** Conversations with signed thinking that move between keys, providers and dialects: what each provider gets, and what the caller sees. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { startStorm } from '../../src/storm/index.ts';
import { chatResponse, chatStream } from '../../src/testing/simulated-chat.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { allBlocks, askMessages, blocksOf, bodyOf, isThinking, keyIn, refusal, signingProvider } from './signing-provider.ts';
import type { Block, Message, MessagesBody, SigningOptions } from './signing-provider.ts';
import { startGateway } from './harness.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const MINUTE = 60_000;
const KEYS = ['sk-first-key-0001', 'sk-second-key-0002'];

interface Stage extends VirtualWorld {
  /** Keys that answer 429, and providers that answer 503. */
  readonly down: Set<string>;
}

interface StageOptions extends Partial<VirtualOptions> {
  readonly signing?: SigningOptions;
}

/** Two keys at `claude`, one at `other`, and `gpt`, which speaks chat. */
async function stage(t: TestContext, { signing, ...more }: StageOptions = {}): Promise<Stage> {
  const down = new Set<string>();
  const messages = signingProvider(signing);
  const limited = refusal('slow', 429, 'rate_limit_error');
  const signed = (call: SimulatedCall): SimulatedResponse => (down.has(keyIn(call)) ? limited : messages(call));
  const chat = (call: SimulatedCall): SimulatedResponse => {
    assert.ok(!/signature|thinking|breakwater-foreign/.test(call.body), 'nothing opaque goes to another dialect');
    return bodyOf(call).stream === true ? chatStream() : chatResponse();
  };
  const of = (protocol: 'anthropic' | 'openai', host: string, apiKeys: string[]) => ({ protocol, baseUrl: `http://${host}/v1`, apiKeys });
  const world = await startVirtualWorld(t, {
    providers: { claude: signed, other: signed, gpt: chat },
    configured: {
      claude: of('anthropic', 'claude', KEYS),
      other: of('anthropic', 'other', ['sk-third-key-0003']),
      gpt: of('openai', 'gpt', ['sk-fourth-key-0004']),
    },
    models: { any: ['claude/m', 'other/m', 'gpt/g'] },
    ...more,
  });
  return { ...world, down };
}

const user = (text: string): Message => ({ role: 'user', content: text });
const texts = (body: MessagesBody): string[] =>
  body.messages.flatMap((message) =>
    typeof message.content === 'string'
      ? [message.content]
      : message.content.flatMap(({ text }) => (typeof text === 'string' ? [text] : [])),
  );
const lastCall = (world: VirtualWorld): SimulatedCall => world.upstream.calls.at(-1)!;
const dropped = (headers: Headers): string | null => headers.get('x-breakwater-dropped');

const headerOf = ({ request: { headers } }: SimulatedCall, name: string): string | undefined =>
  headers.find((_, i) => i % 2 === 1 && headers[i - 1] === name);

class Conversation {
  readonly messages: Message[] = [];
  readonly world: VirtualWorld;
  readonly more: Record<string, unknown>;

  constructor(world: VirtualWorld, more: Record<string, unknown> = {}) {
    this.world = world;
    this.more = more;
  }

  /** Says something to a model, and takes the response into the conversation; how many upstream calls that took. */
  async say(model: string, text: string) {
    const before = this.world.upstream.calls.length;
    this.messages.push(user(text));
    const turn = await askMessages(this.world, { model, messages: this.messages, ...this.more });
    assert.equal(turn.status, 200, turn.text);
    this.messages.push({ role: 'assistant', content: turn.blocks });
    return { ...turn, calls: this.world.upstream.calls.length - before };
  }

  /** The blocks of thinking that a key has signed, in order. */
  madeBy(made: ReadonlyMap<Block, string>, key: string): Block[] {
    return this.messages.flatMap(blocksOf).filter((block) => isThinking(block) && made.get(block) === key);
  }
}

describe('a conversation with signed thinking', { concurrency: 4 }, () => {
  const FORMS = [false, true].flatMap((stream) => [false, true].map((bound) => ({ stream, bound })));
  for (const { stream, bound } of FORMS) {
    const form = `${stream ? 'streamed' : 'in one piece'}${bound ? ', bound to all before it' : ''}`;
    it(`goes through twenty turns at two keys, two providers and another dialect, ${form}`, async (t) => {
      const world = await stage(t, { signing: { bound } });
      const talk = new Conversation(world, { stream });
      const made = new Map<Block, string>();
      const plan = [
        { model: 'claude/m', down: [KEYS[1]!], key: KEYS[0]! },
        { model: 'claude/m', down: [KEYS[0]!], key: KEYS[1]! },
        { model: 'other/m', down: [], key: 'sk-third-key-0003' },
        { model: 'gpt/g', down: [], key: 'sk-fourth-key-0004' },
      ];
      for (let i = 0; i < 20; i++) {
        const { model, down, key } = plan[i % plan.length]!;
        for (const each of down) world.down.add(each);
        const asked = [...talk.messages, user(`question ${i}`)];
        const { blocks, calls, headers } = await talk.say(model, `question ${i}`);
        world.down.clear();
        const call = lastCall(world);
        assert.equal(keyIn(call), key);
        // The maker of the latest thinking is asked first, and is busy; nothing is paid for a signature.
        if (i > 0) assert.equal(calls, 1 + down.length, `turn ${i}`);
        const sent = bodyOf(call);
        if (model !== 'gpt/g') {
          assert.deepEqual(allBlocks(sent).filter(isThinking), talk.madeBy(made, key), 'its own thinking, unchanged, and no other');
          assert.deepEqual(texts(sent), texts({ model, messages: asked }), 'every text');
          const foreign = [...made.values()].some((maker) => maker !== key);
          assert.equal(dropped(headers), foreign ? 'thinking, redacted_thinking' : null);
        }
        for (const block of blocks) if (isThinking(block)) made.set(block, key);
        await world.clock.advanceAsync(2 * MINUTE);
      }
      const refused = world.eventsOf('attempt_end').filter(({ status }) => status === 400);
      assert.equal(refused.length, 0);
    });
  }

  it('stays with the key that made its thinking, without a session', async (t) => {
    const world = await stage(t);
    const talks = Array.from({ length: 6 }, () => new Conversation(world));
    const homes: string[] = [];
    for (const talk of talks) {
      await talk.say('claude/m', 'first');
      homes.push(keyIn(lastCall(world)));
    }
    assert.equal(new Set(homes).size, 2);
    for (let round = 0; round < 3; round++) {
      for (const [i, talk] of talks.entries()) {
        const { calls, headers } = await talk.say('claude/m', 'more');
        assert.deepEqual([calls, keyIn(lastCall(world)), dropped(headers)], [1, homes[i], null]);
      }
    }
  });

  it('gets the first tier again when it is back, though the second one made the latest of it', async (t) => {
    const world = await stage(t);
    const talk = new Conversation(world);
    await talk.say('any', 'one');
    for (const key of KEYS) world.down.add(key);
    await talk.say('any', 'two');
    assert.match(lastCall(world).request.origin, /other/);
    world.down.clear();
    await world.clock.advanceAsync(2 * MINUTE);
    await talk.say('any', 'three');
    assert.match(lastCall(world).request.origin, /claude/);
    assert.equal(allBlocks(bodyOf(lastCall(world))).filter(isThinking).length, 2);
  });

  it('says in the timeline and the header what was left out', async (t) => {
    const world = await stage(t);
    const talk = new Conversation(world);
    await talk.say('claude/m', 'one');
    const { headers } = await talk.say('other/m', 'two');
    assert.equal(dropped(headers), 'thinking, redacted_thinking');
    const notes = world.eventsOf('note').map(({ note }) => note);
    assert.deepEqual(notes, ["left out, as the target can't read it: 1 × thinking, 1 × redacted_thinking"]);
  });

  it('keeps every other byte of the body', async (t) => {
    const world = await stage(t);
    const talk = new Conversation(world);
    await talk.say('claude/m', 'one');
    const [thinking, redacted, text] = blocksOf(talk.messages[1]!).map((block) => JSON.stringify(block));
    const body = (model: string, blocks: string): string =>
      `{ "x_unknown" : [1.0, 1e3],\n"messages":[{"role":"user","content":"ein \\u00fc"}, {"role":"assistant", "content": [ ${blocks} ], "y":1} ,{"role":"user","content":"two"}], "max_tokens":100,"model":"${model}"}`;
    const ask = async (given: string): Promise<string> => {
      const response = await world.until(
        world.fetch('http://breakwater/v1/messages', { method: 'POST', headers: { 'content-type': 'application/json' }, body: given }),
      );
      assert.equal(response.status, 200);
      return lastCall(world).body;
    };
    const whole = `${thinking} , ${redacted} ,  ${text}`;
    assert.equal(await ask(body('claude/m', whole)), body('m', whole));
    assert.equal(await ask(body('other/m', whole)), body('m', text!));
    assert.equal(await ask(body('other/m', `${text}, ${thinking},${redacted}`)), body('m', text!));
  });

  it('leaves out a turn of thinking alone', async (t) => {
    const world = await stage(t);
    const talk = new Conversation(world);
    await talk.say('claude/m', 'one');
    const [thinking] = blocksOf(talk.messages[1]!);
    const messages = [user('one'), { role: 'assistant', content: [thinking!] }, user('two')];
    const { status } = await askMessages(world, { model: 'other/m', messages });
    assert.equal(status, 200);
    assert.deepEqual(bodyOf(lastCall(world)).messages, [user('one'), user('two')]);
  });

  it('turns thinking off for a call under way whose thinking can not be sent along', async (t) => {
    const call: Block = { type: 'tool_use', id: 'toolu_1', name: 'look', input: {} };
    const world = await stage(t, {
      signing: { content: (body) => (body.messages.length === 1 ? [call] : [{ type: 'text', text: 'done' }]) },
    });
    const first = await askMessages(world, {
      model: 'claude/m',
      messages: [user('one')],
      thinking: { type: 'enabled', budget_tokens: 1024 },
    });
    const messages = [
      user('one'),
      { role: 'assistant', content: first.blocks },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1' }] },
    ];
    const ask = {
      messages,
      thinking: { type: 'enabled', budget_tokens: 1024 },
      context_management: { edits: [{ type: 'clear_thinking_20251015' }] },
    };
    const betas = { 'anthropic-beta': 'claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27' };
    const second = await askMessages(world, { ...ask, model: 'other/m' }, betas);
    assert.equal(second.status, 200);
    assert.equal(dropped(second.headers), 'thinking, redacted_thinking, context_management');
    assert.equal('thinking' in bodyOf(lastCall(world)), false);
    assert.equal(headerOf(lastCall(world), 'anthropic-beta'), 'claude-code-20250219');
    const own = await askMessages(world, { ...ask, model: 'claude/m' }, betas);
    assert.deepEqual([own.status, dropped(own.headers)], [200, null]);
    assert.equal('thinking' in bodyOf(lastCall(world)), true);
    assert.equal(headerOf(lastCall(world), 'anthropic-beta'), betas['anthropic-beta']);
  });

  it('turns adaptive thinking off only where the target wants it at the beginning, and pays for that once', async (t) => {
    const call: Block = { type: 'tool_use', id: 'toolu_1', name: 'look', input: {} };
    for (const opens of [false, true]) {
      const world = await stage(t, { signing: { opens, content: () => [call] } });
      const messages: Message[] = [user('one')];
      const ask = async (model: string) => {
        const before = world.upstream.calls.length;
        const turn = await askMessages(world, { model, messages, thinking: { type: 'adaptive' } });
        messages.push(
          { role: 'assistant', content: turn.blocks },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1' }] },
        );
        return [turn.status, world.upstream.calls.length - before, dropped(turn.headers)];
      };
      const foreign = 'thinking, redacted_thinking';
      assert.deepEqual(await ask('claude/m'), [200, 1, null]);
      assert.deepEqual(await ask('other/m'), [200, opens ? 2 : 1, foreign]);
      assert.equal('thinking' in bodyOf(lastCall(world)), !opens);
      assert.deepEqual(await ask('claude/m'), [200, opens ? 2 : 1, foreign]);
      assert.deepEqual(await ask('other/m'), [200, 1, foreign]);
    }
  });

  it('goes on with a call that another dialect began without thinking, and pays for that once', async (t) => {
    const call: Block = { type: 'tool_use', id: 'toolu_1', name: 'look', input: {} };
    const world = await stage(t, { signing: { content: () => [{ ...call }] } });
    const messages: Message[] = [user('one'), { role: 'assistant', content: [call] }];
    const ask = async () => {
      messages.push({ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1' }] });
      const before = world.upstream.calls.length;
      const turn = await askMessages(world, { model: 'other/m', messages, thinking: { type: 'enabled', budget_tokens: 1024 } });
      messages.push({ role: 'assistant', content: [call] });
      return [turn.status, world.upstream.calls.length - before, dropped(turn.headers)];
    };
    assert.deepEqual(await ask(), [200, 2, 'thinking']);
    assert.deepEqual(await ask(), [200, 1, 'thinking']);
    assert.deepEqual(await ask(), [200, 1, 'thinking']);
  });

  it('is counted without what the target can not read', async (t) => {
    const world = await stage(t);
    const talk = new Conversation(world);
    await talk.say('claude/m', 'one');
    const count = async (model: string): Promise<unknown> => {
      const body = JSON.stringify({ model, messages: [...talk.messages, user('two')] });
      const asked = world.fetch('http://breakwater/v1/messages/count_tokens', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      assert.equal((await world.until(asked)).status, 200);
      return [
        new URL(lastCall(world).request.path, 'http://x').pathname,
        allBlocks(bodyOf(lastCall(world))).filter(isThinking).length,
        bodyOf(lastCall(world)).model,
      ];
    };
    assert.deepEqual(await count('claude/m'), ['/v1/messages/count_tokens', 2, 'm']);
    assert.deepEqual(await count('other/m'), ['/v1/messages/count_tokens', 0, 'm']);
    assert.equal(world.upstream.calls.length, 3);
  });

  it('is known to its maker after a restart', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'breakwater-opaque-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const open = () => openStore(`sqlite:${join(folder, 'state.db')}`, { clock: createManualClock(), onWarning: () => {} });
    const before = await stage(t, { store: await open() });
    const messages: Message[] = [];
    const talk = new Conversation(before);
    await talk.say('claude/m', 'one');
    const home = keyIn(lastCall(before));
    messages.push(...talk.messages);
    await before.close();

    const after = await stage(t, { store: await open() });
    const again = new Conversation(after);
    again.messages.push(...messages);
    const moved = await again.say('other/m', 'two');
    assert.deepEqual([moved.calls, dropped(moved.headers)], [1, 'thinking, redacted_thinking']);
    const back = await again.say('claude/m', 'three');
    assert.deepEqual([back.calls, keyIn(lastCall(after))], [1, home]);
    assert.equal(allBlocks(bodyOf(lastCall(after))).filter(isThinking).length, 2);
  });
});

describe('over sockets, against Storm, which signs thinking for each key', { concurrency: 2 }, () => {
  for (const stream of [false, true]) {
    it(`twenty turns at two keys, another provider and a chat provider, with a restart between them, ${stream ? 'streamed' : 'in one piece'}`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'breakwater-moved-'));
      t.after(() => rm(folder, { recursive: true, force: true }));
      const storms = await Promise.all(['a', 'b', 'g'].map((name) => startStorm({ name })));
      t.after(() => Promise.all(storms.map((storm) => storm.close())));
      const at = (i: number, protocol: 'anthropic' | 'openai', apiKey: string) => ({ protocol, baseUrl: storms[i]!.url, apiKey });
      const providers = {
        first: at(0, 'anthropic', 'sk-first-key-0001'),
        second: at(0, 'anthropic', 'sk-second-key-0002'),
        other: at(1, 'anthropic', 'sk-third-key-0003'),
        chat: at(2, 'openai', 'sk-fourth-key-0004'),
      };
      const start = async () =>
        startGateway(
          { providers },
          { store: await openStore(`sqlite:${join(folder, 'state.db')}`, { clock: systemClock, onWarning: () => {} }) },
        );
      let gateway = await start();
      t.after(() => gateway.close());
      const world = {
        fetch: (url: string | URL | Request, init?: RequestInit) => gateway.fetch(url, init),
        until: <T>(promise: Promise<T>) => promise,
      };
      const messages: Message[] = [];
      const thinking = { type: 'enabled', budget_tokens: 1024 };
      for (let i = 0; i < 20; i++) {
        if (i === 10) {
          await gateway.close();
          gateway = await start();
        }
        messages.push(user(`question ${i}`));
        const model = `${Object.keys(providers)[i % 4]!}/m`;
        const { status, text, blocks, headers } = await askMessages(world, { model, max_tokens: 2048, messages, stream, thinking });
        assert.equal(status, 200, text);
        assert.equal(headers.get('x-breakwater-attempts'), '1');
        assert.equal(blocks.some(isThinking), i % 4 !== 3);
        messages.push({ role: 'assistant', content: blocks });
      }
      assert.deepEqual(
        storms.map((storm) => storm.stats().calls),
        [10, 5, 5],
      );
    });
  }
});

describe('signed thinking and what it is bound to', { concurrency: 4 }, () => {
  const setting: VirtualOptions['models'] = {
    set: [{ target: 'other/m', set: { system: 'Be brief.', top_k: 5 }, drop: ['tools', 'metadata'] }],
  };
  const more = { system: 'Be kind.', tools: [{ name: 'look', input_schema: { type: 'object' } }], metadata: { user_id: 'a' } };

  it('system, tools and messages stay as they came where the request holds some, and what else a route sets is set', async (t) => {
    const world = await stage(t, { models: setting });
    const talk = new Conversation(world, more);
    await talk.say('set', 'one');
    const first = bodyOf(lastCall(world));
    assert.deepEqual([first['system'], first['top_k'], 'tools' in first, 'metadata' in first], ['Be brief.', 5, false, false]);
    const { calls, headers } = await talk.say('set', 'two');
    const second = bodyOf(lastCall(world));
    assert.deepEqual([second['system'], second['top_k'], second['tools'], 'metadata' in second], ['Be kind.', 5, more.tools, false]);
    assert.deepEqual([calls, dropped(headers)], [1, null]);
    const notes = world.eventsOf('note').map(({ note }) => note);
    assert.deepEqual(notes, ['system, tools left unchanged: signed reasoning in the request is bound to it']);
  });

  it('thinking that was bound to what a route has set is left out where the provider minds', async (t) => {
    const world = await stage(t, { models: setting, signing: { bound: true } });
    const talk = new Conversation(world, more);
    await talk.say('set', 'one');
    const second = await talk.say('set', 'two');
    assert.deepEqual([second.calls, dropped(second.headers)], [2, 'thinking, redacted_thinking']);
    for (let i = 0; i < 3; i++) assert.equal((await talk.say('set', 'more')).calls, 1, 'what was refused once is not sent again');
  });

  it('a beta is left out with the members that a route drops', async (t) => {
    const world = await stage(t, { models: { lean: [{ target: 'other/m', drop: ['context_management'] }] } });
    const body = { model: 'lean', messages: [user('one')], context_management: { edits: [] } };
    const betas = { 'anthropic-beta': 'context-management-2025-06-27' };
    await askMessages(world, body, betas);
    assert.deepEqual([headerOf(lastCall(world), 'anthropic-beta'), 'context_management' in bodyOf(lastCall(world))], [undefined, false]);
    await askMessages(world, { ...body, model: 'other/m' }, betas);
    assert.equal(headerOf(lastCall(world), 'anthropic-beta'), betas['anthropic-beta']);
  });

  it('a chat request for reasoning in the middle of a call is no 400 at a model that thinks by a budget', async (t) => {
    const world = await stage(t, {
      models: { think: ['other/claude-sonnet-4-5'] },
      signing: { content: () => [{ type: 'text', text: 'done' }] },
    });
    const call = { id: 'call_1', type: 'function', function: { name: 'look', arguments: '{}' } };
    const messages = [
      user('one'),
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: 'x' },
    ];
    const tools = [{ type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } }];
    const seen = await world.answerTo({ model: 'think', messages, tools, reasoning_effort: 'high', max_tokens: 30_000 });
    assert.equal(seen.status, 200, seen.text);
    assert.deepEqual([world.upstream.calls.length, 'thinking' in bodyOf(lastCall(world)), dropped(seen.headers)], [1, false, 'reasoning']);
    await world.answerTo({
      model: 'think',
      messages: [...messages, { role: 'assistant', content: 'done' }, user('two')],
      tools,
      reasoning_effort: 'high',
      max_tokens: 30_000,
    });
    assert.equal('thinking' in bodyOf(lastCall(world)), true);
  });

  it('is not sent to another model of the same account', async (t) => {
    const world = await stage(t);
    const talk = new Conversation(world);
    await talk.say('other/m', 'one');
    const { calls, headers } = await talk.say('other/m2', 'two');
    assert.deepEqual([calls, dropped(headers)], [1, 'thinking, redacted_thinking']);
    assert.deepEqual(dropped((await talk.say('other/m', 'three')).headers), 'thinking, redacted_thinking');
    assert.equal(allBlocks(bodyOf(lastCall(world))).filter(isThinking).length, 2);
  });

  it('reasoning of another dialect never reaches a provider that signs', async (t) => {
    const reasoning = JSON.stringify({
      id: 'c',
      choices: [{ index: 0, message: { role: 'assistant', reasoning_content: 'hm', content: 'yes' }, finish_reason: 'stop' }],
    });
    const gpt = (): SimulatedResponse => ({
      steps: [
        { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
        { do: 'send', bytes: reasoning },
      ],
    });
    const messages = signingProvider();
    const world = await stage(t, { providers: { claude: messages, other: messages, gpt } });
    const talk = new Conversation(world);
    const first = await talk.say('gpt/g', 'one');
    assert.equal(first.blocks[0]!['thinking'], 'hm');
    const { calls, headers } = await talk.say('other/m', 'two');
    assert.deepEqual([calls, dropped(headers)], [1, 'thinking']);
    assert.deepEqual(texts(bodyOf(lastCall(world))), ['one', 'yes', 'two']);
  });
});

describe('thinking that a target refuses', { concurrency: 4 }, () => {
  const WORDS: Record<string, (message: string) => SimulatedResponse> = {
    'a bad signature': (message) => refusal(message),
    'another conversation': () => refusal('messages.1.content.0: This thinking block is bound to a different conversation.'),
    'words of Bedrock': (message) => refusal(`The model returned the following errors: ${message}`, 400, 'validation_exception'),
    'an error event': (message) => ({
      steps: [
        { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
        {
          do: 'send',
          bytes: `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type: 'invalid_request_error', message } })}\n\n`,
        },
      ],
    }),
  };
  for (const [name, refuse] of Object.entries(WORDS)) {
    it(`by ${name} is left out at once, and from then on`, async (t) => {
      const world = await stage(t, { signing: { refuse }, config: { policy: { maxAttempts: 1 } } });
      const elsewhere: Block = { type: 'thinking', thinking: 'of long ago', signature: 'EqQBCgIYAhIM' };
      const talk = new Conversation(world, { stream: name === 'an error event' });
      talk.messages.push(user('zero'), { role: 'assistant', content: [elsewhere, { type: 'text', text: 'zero' }] });
      const first = await talk.say('other/m', 'one');
      assert.deepEqual([first.calls, dropped(first.headers)], [2, 'thinking']);
      const second = await talk.say('other/m', 'two');
      assert.deepEqual([second.calls, dropped(second.headers)], [1, 'thinking']);
      assert.equal(allBlocks(bodyOf(lastCall(world))).filter(isThinking).length, 2, 'its own is sent along');
    });
  }

  it('in words that nobody knows is left out once, and an error that stays the same is not about it', async (t) => {
    const world = await stage(t, { signing: { refuse: () => refusal('That will not do.') } });
    const elsewhere: Block = { type: 'thinking', thinking: 'of long ago', signature: 'EqQBCgIYAhIM' };
    const talk = new Conversation(world);
    talk.messages.push(user('zero'), { role: 'assistant', content: [elsewhere, { type: 'text', text: 'zero' }] });
    assert.deepEqual((await talk.say('other/m', 'one')).calls, 2);
    assert.deepEqual((await talk.say('other/m', 'two')).calls, 1);

    const never = await stage(t, {
      providers: { claude: () => refusal('no'), other: () => refusal('Not today.'), gpt: () => refusal('no') },
    });
    const ask = async (i: number) => {
      const messages = [user('a'), { role: 'assistant', content: [{ ...elsewhere, signature: `${i}` }] }, user('b')];
      return (await askMessages(never, { model: 'other/m', messages })).status;
    };
    for (let i = 0; i < 3; i++) assert.equal(await ask(i), 400);
    assert.equal(never.callsTo('other'), 4);
  });

  it('costs neither the retry budget nor the health of the target', async (t) => {
    const world = await stage(t, {
      config: { policy: { retry: { budget: { ratio: 0, minPerSecond: 0 } }, breaker: { consecutiveFailures: 1 } } },
    });
    const elsewhere: Block = { type: 'thinking', thinking: 'x', signature: 'EqQBCgIYAhIM' };
    for (let i = 0; i < 10; i++) {
      const messages = [user('a'), { role: 'assistant', content: [{ ...elsewhere, signature: `${i}` }] }, user('b')];
      assert.equal((await askMessages(world, { model: 'other/m', messages })).status, 200);
    }
    assert.equal(world.callsTo('other'), 20);
    assert.equal(world.eventsOf('breaker').length, 0);
  });

  it('is refused as before where leaving it out does not help', async (t) => {
    const words = 'messages.1.content.0: Invalid `signature` in `thinking` block';
    const world = await stage(t, { providers: { claude: () => refusal(words), other: () => refusal(words), gpt: () => refusal('no') } });
    const messages = [user('a'), { role: 'assistant', content: [{ type: 'thinking', thinking: 'x', signature: 'y' }] }, user('b')];
    const { status, text } = await askMessages(world, { model: 'other/m', messages });
    assert.equal(status, 400);
    assert.match(text, /Invalid `signature`/);
    assert.equal(world.callsTo('other'), 2);
  });
});
