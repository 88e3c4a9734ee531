/** Tool calls in every shape that was seen in the field. A request without tools is answered by a call too. */
import { breakIndex, closingIndex, endedAt, failedAt, say, without } from '../answer-edits.ts';
import type { Answer, Step } from '../answer.ts';
import { toPieces } from '../content.ts';
import type { Choice } from '../content.ts';
import { choicesOf, patternOf, readEvent, toEvent, withBody, withChoices } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { Family, FaultBehaviour, Scene } from '../fault-behaviour.ts';
import type { ToolKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';

const ARGUMENTS = '{"city":"Tromsø","days":3,"unit":"celsius"}';

/** One call, as the answer would have made it. */
interface ToolCall {
  id: string;
  name: string;
  /** Its arguments in pieces; together they are JSON. */
  pieces: string[];
}

/** A call where none was asked for. The fault may name the tool (`param`) and its arguments (`message`, as JSON). */
function asTool(choice: Choice, { param, message }: Pick<StormFault, 'param' | 'message'> = {}): Choice {
  if (choice.kind === 'tool') return choice;
  const call: Choice = { kind: 'tool', tool: param ?? 'get_weather', pieces: toPieces(message ?? ARGUMENTS), finish: 'tool' };
  return choice.thoughts === undefined ? call : { ...call, thoughts: choice.thoughts };
}

/** Two calls, in dialects whose events the fault does not shape itself. */
function asTwo(choice: Choice, fault: StormFault, { dialect }: Scene): Choice {
  const one = asTool(choice, fault);
  if (dialect.name === 'openai-chat') return one;
  return { ...one, others: [{ tool: one.tool ?? '', pieces: one.pieces }] };
}

const TOOL = { on: 'both', harm: 'none', content: asTool } as const;

/** The calls of a stream as deltas. `finish`, where given, stands in the last of them and no closing chunk follows. */
type Shape = (call: ToolCall) => { deltas: Chunk[]; finish?: string };

/** A kind whose stream shapes its call otherwise; `plain` changes the calls of a plain message. */
function shaped(about: string, shape: Shape, plain?: (calls: Chunk[]) => Chunk[]): FaultBehaviour {
  return {
    ...TOOL,
    about,
    only: 'openai-chat',
    answer(answer) {
      if (answer.streamed) return restreamed(answer, shape);
      return plain === undefined
        ? answer
        : withMessages(answer, (message) => ({ ...message, tool_calls: plain(message['tool_calls'] as Chunk[]) }));
    },
  };
}

function withMessages(answer: Answer, change: (message: Chunk) => Chunk, finish?: string): Answer {
  return withBody(answer, (body) =>
    withChoices(body, (choice) => {
      const message = choice['message'] as Chunk | undefined;
      if (message?.['tool_calls'] === undefined) return choice;
      return { ...choice, message: change(message), ...(finish === undefined ? {} : { finish_reason: finish }) };
    }),
  );
}

/** Reads the call that a stream of one choice makes; undefined where it makes none, or several. */
function callOf(answer: Answer): ToolCall | undefined {
  const call: ToolCall = { id: '', name: '', pieces: [] };
  for (const step of answer.steps) {
    const choices = choicesOf(readEvent(step) ?? {});
    if (choices.some((choice) => choice['index'] !== 0)) return undefined;
    const part = (choices[0]?.['delta'] as { tool_calls?: { id?: string; function: { name?: string; arguments: string } }[] } | undefined)
      ?.tool_calls?.[0];
    if (part === undefined) continue;
    if (part.id !== undefined) call.id = part.id;
    if (part.function.name !== undefined) call.name = part.function.name;
    if (part.function.arguments !== '') call.pieces.push(part.function.arguments);
  }
  return call.name === '' ? undefined : call;
}

/** The same call in other deltas. Waits between events are kept, one by one, as far as they go. */
function restreamed(answer: Answer, shape: Shape): Answer {
  const call = callOf(answer);
  if (call === undefined) return answer;
  const { deltas, finish } = shape(call);
  const pattern = patternOf(answer);
  const first = answer.steps.findIndex((step) => step.do === 'send');
  const closing = closingIndex(answer);
  const waits = answer.steps.slice(first, closing).filter((step) => step.do !== 'send');
  const events = deltas.flatMap((delta, index): Step[] => {
    const isLast = index === deltas.length - 1;
    const choice = { index: 0, delta, logprobs: null, finish_reason: isLast ? (finish ?? null) : null };
    const wait = index === 0 ? undefined : waits[index - 1];
    return [...(wait === undefined ? [] : [wait]), say(toEvent({ ...pattern, choices: [choice] }), index === 0 ? 'preamble' : 'content')];
  });
  const whole = { ...answer, steps: [...answer.steps.slice(0, first), ...events, ...answer.steps.slice(closing)] };
  return finish === undefined ? whole : without(whole, ['finish']);
}

const ROLE = { role: 'assistant', content: null };

const calls = (...tools: Chunk[]): Chunk => ({ tool_calls: tools });

/** The beginning of a call, as OpenAI sends it. */
const opening = ({ id, name }: ToolCall, index = 0): Chunk => ({ index, id, type: 'function', function: { name, arguments: '' } });

/** A fragment of its arguments. */
const fragment = (text: string, index = 0): Chunk => ({ index, function: { arguments: text } });

const whole = (call: ToolCall, more: Chunk = { index: 0 }): Chunk => ({
  ...more,
  id: call.id,
  type: 'function',
  function: { name: call.name, arguments: call.pieces.join('') },
});

/** A second call beside the first, with arguments of its own. */
const second = (call: ToolCall): ToolCall => ({ id: `${call.id}_b`, name: call.name, pieces: call.pieces });

const withSecond = (tools: Chunk[]): Chunk[] => [...tools, { ...tools[0], id: `${String(tools[0]?.['id'])}_b` }];

/** The same value for the arguments of every plain call. */
const argumentsOf = (change: (text: string) => unknown) => (tools: Chunk[]) =>
  tools.map((tool) => {
    const called = tool['function'] as { name: string; arguments: string };
    return { ...tool, function: { ...called, arguments: change(called.arguments) } };
  });

/** Two calls, their fragments by turns. */
function interleaved(call: ToolCall): Chunk[] {
  const openings = [{ ...ROLE, ...calls(opening(call)) }, calls(opening(second(call), 1))];
  return [...openings, ...call.pieces.flatMap((piece) => [calls(fragment(piece)), calls(fragment(piece, 1))])];
}

/** Where a stream breaks in the middle of a call's arguments. */
function brokenCall(about: string, rest: (answer: Answer, at: number, scene: Scene) => Answer): FaultBehaviour {
  return {
    ...TOOL,
    about: `${about} inside the arguments, after ARG of their pieces`,
    on: 'stream',
    harm: 'after',
    arg: 'afterTokens',
    answer: (answer, fault, scene) => (answer.streamed ? rest(answer, breakIndex(answer, fault), scene) : answer),
  };
}

export const TOOLS: Family<ToolKind> = {
  tool: { ...TOOL, about: 'a tool call as OpenAI makes it: its name, then its arguments in fragments' },
  'tool-whole': shaped('the whole call in one chunk', (call) => ({ deltas: [{ ...ROLE, ...calls(whole(call)) }] })),
  'tool-whole-finish': shaped('the whole call and the finish_reason in one chunk, as Gemini sends it', (call) => ({
    deltas: [{ ...ROLE, ...calls(whole(call)) }],
    finish: 'tool_calls',
  })),
  'tool-id-repeated': shaped('id, type and name again in each fragment', (call) => ({
    deltas: [
      { ...ROLE, ...calls(opening(call)) },
      ...call.pieces.map((piece) => calls({ ...opening(call), function: { name: call.name, arguments: piece } })),
    ],
  })),
  'tool-id-empty': shaped('an empty id and a null name in each later fragment', (call) => ({
    deltas: [
      { ...ROLE, ...calls(opening(call)) },
      ...call.pieces.map((piece) => calls({ index: 0, id: '', type: 'function', function: { name: null, arguments: piece } })),
    ],
  })),
  'tool-id-missing': shaped(
    'a call without an id',
    (call) => ({
      deltas: [
        { ...ROLE, ...calls({ index: 0, function: { name: call.name, arguments: '' } }) },
        ...call.pieces.map((piece) => calls(fragment(piece))),
      ],
    }),
    (tools) => tools.map(({ id: _id, ...tool }) => tool),
  ),
  'tool-name-split': shaped('the name in two fragments', (call) => ({
    deltas: [
      { ...ROLE, ...calls({ ...opening(call), function: { name: call.name.slice(0, 3), arguments: '' } }) },
      calls({ index: 0, function: { name: call.name.slice(3) } }),
      ...call.pieces.map((piece) => calls(fragment(piece))),
    ],
  })),
  'tool-two': {
    ...shaped(
      'two calls, one after the other',
      (call) => ({
        deltas: [
          { ...ROLE, ...calls(opening(call)) },
          ...call.pieces.map((piece) => calls(fragment(piece))),
          calls(opening(second(call), 1)),
          ...call.pieces.map((piece) => calls(fragment(piece, 1))),
        ],
      }),
      withSecond,
    ),
    content: asTwo,
  },
  'tool-interleaved': {
    ...shaped('two calls, their fragments by turns', (call) => ({ deltas: interleaved(call) }), withSecond),
    content: asTwo,
  },
  'tool-index-missing': shaped('fragments without an index', (call) => ({
    deltas: [
      { ...ROLE, ...calls({ id: call.id, type: 'function', function: { name: call.name, arguments: '' } }) },
      ...call.pieces.map((piece) => calls({ function: { arguments: piece } })),
    ],
  })),
  'tool-index-same': shaped(
    'two whole calls, both with index 0',
    (call) => ({ deltas: [{ ...ROLE, ...calls(whole(call)) }, calls(whole(second(call)))] }),
    withSecond,
  ),
  'tool-arguments-empty': shaped(
    'arguments that are an empty string',
    (call) => ({ deltas: [{ ...ROLE, ...calls(opening(call)) }] }),
    argumentsOf(() => ''),
  ),
  'tool-arguments-null': shaped(
    'arguments that are null',
    (call) => ({ deltas: [{ ...ROLE, ...calls({ ...opening(call), function: { name: call.name, arguments: null } }) }] }),
    argumentsOf(() => null),
  ),
  'tool-arguments-object': shaped(
    'arguments that are an object, not a text',
    (call) => ({ deltas: [{ ...ROLE, ...calls({ ...opening(call), function: { name: call.name, arguments: { city: 'Tromsø' } } }) }] }),
    argumentsOf(() => ({ city: 'Tromsø' })),
  ),
  'tool-arguments-broken': {
    ...shaped(
      'arguments that end amid their JSON, though finish_reason is tool_calls',
      (call) => ({ deltas: [{ ...ROLE, ...calls(opening(call)) }, ...call.pieces.slice(0, -1).map((piece) => calls(fragment(piece)))] }),
      argumentsOf((text) => text.slice(0, -2)),
    ),
    harm: 'poor',
  },
  'tool-after-text': {
    ...shaped('text, then a call', (call) => ({
      deltas: [
        { role: 'assistant', content: 'Let me' },
        { content: ' look.' },
        calls(opening(call)),
        ...call.pieces.map((piece) => calls(fragment(piece))),
      ],
    })),
  },
  'tool-stop': {
    ...TOOL,
    about: 'a call that ends with finish_reason stop',
    content: (choice) => ({ ...asTool(choice), finish: 'stop' }),
  },
  'tool-no-finish': {
    ...TOOL,
    about: 'a call, then [DONE] without finish_reason',
    harm: 'after',
    content: (choice) => ({ ...asTool(choice), finish: 'none' }),
  },
  'tool-cut': brokenCall('FIN', (answer, at) => endedAt(answer, at, { do: 'fin' })),
  'tool-error': brokenCall('an error event', (answer, at, { dialect, model }) =>
    failedAt(answer, at, dialect, { reason: 'server', model }),
  ),
  'function-call': {
    ...TOOL,
    about: 'the old form, function_call',
    only: 'openai-chat',
    answer(answer) {
      const legacy = restreamed(answer, (call) => ({
        deltas: [
          { ...ROLE, function_call: { name: call.name, arguments: '' } },
          ...call.pieces.map((piece) => ({ function_call: { arguments: piece } })),
          {},
        ],
        finish: 'function_call',
      }));
      return withMessages(
        legacy,
        ({ tool_calls: tools, ...message }) => ({ ...message, function_call: (tools as { function: unknown }[])[0]?.function }),
        'function_call',
      );
    },
  },
};
