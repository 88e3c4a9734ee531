/** A caller of each of the four dialects before a target of each: whole responses, and streams that break off. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { headStep, RESET, send, streamOf, TEXT, wholeAnswer } from './dialect-wires.ts';
import { DIALECTS, FOUR_WIRES, readBody, requestOf } from './four-wires.ts';
import type { DialectWord, Read } from './four-wires.ts';
import { startVirtualWorld } from './virtual.ts';

interface Scene {
  readonly status: number;
  readonly read: Read;
  readonly body: string;
  readonly paths: readonly string[];
  readonly calls: (provider: string) => number;
}

const PROTOCOLS: Readonly<Record<DialectWord, 'openai' | 'anthropic' | 'gemini'>> = {
  chat: 'openai',
  responses: 'openai',
  messages: 'anthropic',
  gemini: 'gemini',
};
/** Where each is asked, below its host. */
const PATHS: Readonly<Record<DialectWord, RegExp>> = {
  chat: /\/v1\/chat\/completions$/,
  responses: /\/v1\/responses$/,
  messages: /\/v1\/messages$/,
  gemini: /\/v1beta\/models\/m:(generateContent|streamGenerateContent\?alt=sse)$/,
};

async function play(
  t: TestContext,
  caller: DialectWord,
  targets: readonly (readonly [dialect: DialectWord, answer: SimulatedResponse])[],
  stream: boolean,
): Promise<Scene> {
  const paths: string[] = [];
  const names = ['a', 'b'].slice(0, targets.length);
  const world = await startVirtualWorld(t, {
    providers: Object.fromEntries(
      targets.map(([dialect, answer], i) => [
        names[i]!,
        (call: SimulatedCall) => {
          paths.push(call.request.path);
          // A server of chat alone, as most are.
          if (dialect === 'chat' && call.request.path.endsWith('/responses'))
            return { steps: [headStep(false, 404), send('{"detail":"Not Found"}')] };
          return answer;
        },
      ]),
    ),
    configured: Object.fromEntries(
      targets.map(([dialect], i) => {
        const protocol = PROTOCOLS[dialect];
        return [names[i]!, { protocol, baseUrl: `http://${names[i]!}${protocol === 'openai' ? '/v1' : ''}`, apiKey: 'sk-x' }];
      }),
    ),
    models: { fast: names.map((name) => `${name}/m`) },
  });
  const { path, body } = requestOf(caller, stream);
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await world.until(world.fetch(`http://breakwater${path}`, init));
  const text = await world.until(response.text());
  return {
    status: response.status,
    read: readBody(caller, stream && response.status === 200, text),
    body: text,
    paths,
    calls: (name) => world.callsTo(name),
  };
}

/** A target that is asked in the caller's dialect where it has it, else in its own. */
function targetsFor(caller: DialectWord): readonly DialectWord[] {
  return DIALECTS.filter((target) => target !== 'responses' || caller === 'responses');
}

for (const caller of DIALECTS) {
  for (const target of targetsFor(caller)) {
    describe(`a ${caller} caller before a ${target} target`, () => {
      const wire = FOUR_WIRES[target];
      for (const stream of [false, true]) {
        it(`gets the ${stream ? 'stream' : 'response'} whole`, async (t) => {
          const { status, read, body, paths } = await play(t, caller, [[target, wholeAnswer(wire, stream)]], stream);
          assert.equal(status, 200, body);
          assert.deepEqual(read, { text: TEXT, usage: [5, 3], isWhole: true, hasError: false }, body);
          assert.match(paths.at(-1)!, PATHS[target]);
          assert.equal(paths.length, caller === 'responses' && target === 'chat' ? 2 : 1);
        });
      }

      for (const [what, answer] of [
        ['a cut', streamOf(wire.head + wire.words[0]!)],
        ['a reset', streamOf(wire.head + wire.words[0]!, RESET)],
        ['a cut inside an event', streamOf(wire.head + wire.words[0]!, send(wire.words[1]!.slice(0, -20)))],
        ['an error event', streamOf(wire.head + wire.words[0]!, send(wire.errorEvent))],
      ] as const) {
        it(`gets an error after ${what}, and no sign of a whole response`, async (t) => {
          const { read, body, calls } = await play(
            t,
            caller,
            [
              [target, answer],
              ['chat', wholeAnswer(FOUR_WIRES.chat, true)],
            ],
            true,
          );
          assert.equal(read.isWhole, false, body);
          assert.equal(read.hasError, true, body);
          assert.equal(read.text, 'one ', body);
          assert.equal(calls('b'), 0);
        });
      }

      for (const other of DIALECTS.filter((dialect) => dialect !== 'responses')) {
        it(`does not see a failure before content where a ${other} target comes second`, async (t) => {
          for (const first of [
            streamOf(wire.head, send(wire.errorEvent)),
            streamOf(wire.head),
            { refuse: 'ECONNREFUSED', steps: [] } as const,
          ]) {
            const { read, body, calls } = await play(
              t,
              caller,
              [
                [target, first],
                [other, wholeAnswer(FOUR_WIRES[other], true)],
              ],
              true,
            );
            assert.deepEqual(read, { text: TEXT, usage: [5, 3], isWhole: true, hasError: false }, body);
            assert.equal(calls('b'), caller === 'responses' && other === 'chat' ? 2 : 1);
          }
        });
      }
    });
  }
}

it('asks the Responses API for a model that nothing else serves', async (t) => {
  const paths: string[] = [];
  const world = await startVirtualWorld(t, {
    providers: {
      openai(call: SimulatedCall) {
        paths.push(call.request.path);
        return wholeAnswer(FOUR_WIRES.responses, false);
      },
    },
    configured: { openai: { baseUrl: 'http://openai/v1', apiKey: 'sk-x' } },
    models: { fast: ['openai/gpt-5-pro'] },
  });
  const seen = await world.answerTo({ stream: false });
  assert.deepEqual(readBody('chat', false, seen.text), { text: TEXT, usage: [5, 3], isWhole: true, hasError: false });
  assert.deepEqual(paths, ['/v1/responses']);
});

for (const caller of DIALECTS) {
  for (const target of targetsFor(caller)) {
    it(`gives a ${caller} caller an error where a ${target} target answers by a stream without content or finish reason`, async (t) => {
      const terminator = target === 'chat' ? 'data: [DONE]\n\n' : '';
      for (const text of [`data: {"id":"x"}\n\n${terminator}`, `data: {"type":"of another API"}\n\n${terminator}`]) {
        for (const stream of [false, true]) {
          const { status, read, body } = await play(t, caller, [[target, { steps: [headStep(true), send(text)] }]], stream);
          assert.equal(status, 502, body);
          assert.deepEqual(read, { text: '', usage: null, isWhole: false, hasError: true }, body);
        }
      }
    });
  }
}
