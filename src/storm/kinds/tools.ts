/** Tool calls in every form observed in practice. Requests without tools get a call as well. */
import { breakIndex, closingIndex, endAt, endWithError, sendStep, withoutParts } from '../script-edits.ts';
import type { ResponseScript, Step } from '../response-script.ts';
import { toTokens } from '../content.ts';
import type { Choice } from '../content.ts';
import { choicesOf, patternOf, readEvent, toEvent, withBody, withChoices } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { Family, FaultBehaviour, FaultContext } from '../fault-behaviour.ts';
import type { ToolKind } from '../fault-names.ts';
import type { StormFault } from '../options.ts';

const ARGUMENTS = '{"city":"Tromsø","days":3,"unit":"celsius"}';

/** A call as the unmodified response makes it. */
interface ToolCall {
  id: string;
  name: string;
  /** Arguments as deltas; joined they are JSON. */
  deltas: string[];
}

/** Turns a choice into a call. The fault can set the tool (`param`) and its arguments (`message`, as JSON). */
function asTool(choice: Choice, { param, message }: Pick<StormFault, 'param' | 'message'> = {}): Choice {
  if (choice.kind === 'tool') return choice;
  const call: Choice = { kind: 'tool', tool: param ?? 'get_weather', deltas: toTokens(message ?? ARGUMENTS), finish: 'tool' };
  return choice.reasoning === undefined ? call : { ...call, reasoning: choice.reasoning };
}

/** Two calls, for dialects whose events this fault does not rewrite. */
function asTwo(choice: Choice, fault: StormFault, { dialect }: FaultContext): Choice {
  const one = asTool(choice, fault);
  if (dialect.name === 'openai-chat') return one;
  return { ...one, others: [{ tool: one.tool ?? '', deltas: one.deltas }] };
}

const TOOL = { on: 'both', harm: 'none', content: asTool } as const;

/** The calls of a stream as deltas. If `finish` is set, it is part of the last delta and no closing chunk follows. */
type Shape = (call: ToolCall) => { deltas: Chunk[]; finish?: string };

/** A kind that rewrites the call of a stream; `changeBody` changes the calls of a non-streaming message. */
function shaped(about: string, shape: Shape, changeBody?: (calls: Chunk[]) => Chunk[]): FaultBehaviour {
  return {
    ...TOOL,
    about,
    only: 'openai-chat',
    edit(script) {
      if (script.streamed) return restreamed(script, shape);
      return changeBody === undefined
        ? script
        : withMessages(script, (message) => ({ ...message, tool_calls: changeBody(message['tool_calls'] as Chunk[]) }));
    },
  };
}

function withMessages(script: ResponseScript, change: (message: Chunk) => Chunk, finish?: string): ResponseScript {
  return withBody(script, (body) =>
    withChoices(body, (choice) => {
      const message = choice['message'] as Chunk | undefined;
      if (message?.['tool_calls'] === undefined) return choice;
      return { ...choice, message: change(message), ...(finish === undefined ? {} : { finish_reason: finish }) };
    }),
  );
}

/** Parses the call of a single-choice stream; undefined if it makes none or several. */
function parseCall(script: ResponseScript): ToolCall | undefined {
  const call: ToolCall = { id: '', name: '', deltas: [] };
  for (const step of script.steps) {
    const choices = choicesOf(readEvent(step) ?? {});
    if (choices.some((choice) => choice['index'] !== 0)) return undefined;
    const part = (choices[0]?.['delta'] as { tool_calls?: { id?: string; function: { name?: string; arguments: string } }[] } | undefined)
      ?.tool_calls?.[0];
    if (part === undefined) continue;
    if (part.id !== undefined) call.id = part.id;
    if (part.function.name !== undefined) call.name = part.function.name;
    if (part.function.arguments !== '') call.deltas.push(part.function.arguments);
  }
  return call.name === '' ? undefined : call;
}

/** Replaces the deltas of the call. Waits between events are kept in order, as far as they suffice. */
function restreamed(script: ResponseScript, shape: Shape): ResponseScript {
  const call = parseCall(script);
  if (call === undefined) return script;
  const { deltas, finish } = shape(call);
  const pattern = patternOf(script);
  const first = script.steps.findIndex((step) => step.do === 'send');
  const closing = closingIndex(script);
  const waits = script.steps.slice(first, closing).filter((step) => step.do !== 'send');
  const events = deltas.flatMap((delta, index): Step[] => {
    const isLast = index === deltas.length - 1;
    const choice = { index: 0, delta, logprobs: null, finish_reason: isLast ? (finish ?? null) : null };
    const wait = index === 0 ? undefined : waits[index - 1];
    return [
      ...(wait === undefined ? [] : [wait]),
      sendStep(toEvent({ ...pattern, choices: [choice] }), index === 0 ? 'preamble' : 'content'),
    ];
  });
  const whole = { ...script, steps: [...script.steps.slice(0, first), ...events, ...script.steps.slice(closing)] };
  return finish === undefined ? whole : withoutParts(whole, ['finish']);
}

const ROLE = { role: 'assistant', content: null };

const calls = (...tools: Chunk[]): Chunk => ({ tool_calls: tools });

/** The first delta of a call, as OpenAI sends it. */
const opening = ({ id, name }: ToolCall, index = 0): Chunk => ({ index, id, type: 'function', function: { name, arguments: '' } });

/** A fragment of its arguments. */
const fragment = (text: string, index = 0): Chunk => ({ index, function: { arguments: text } });

const whole = (call: ToolCall, more: Chunk = { index: 0 }): Chunk => ({
  ...more,
  id: call.id,
  type: 'function',
  function: { name: call.name, arguments: call.deltas.join('') },
});

/** A second call with the same arguments. */
const second = (call: ToolCall): ToolCall => ({ id: `${call.id}_b`, name: call.name, deltas: call.deltas });

const withSecond = (tools: Chunk[]): Chunk[] => [...tools, { ...tools[0], id: `${String(tools[0]?.['id'])}_b` }];

/** Changes the arguments of every call in a non-streaming message. */
const argumentsOf = (change: (text: string) => unknown) => (tools: Chunk[]) =>
  tools.map((tool) => {
    const called = tool['function'] as { name: string; arguments: string };
    return { ...tool, function: { ...called, arguments: change(called.arguments) } };
  });

/** Two calls with interleaved fragments. */
function interleaved(call: ToolCall): Chunk[] {
  const openings = [{ ...ROLE, ...calls(opening(call)) }, calls(opening(second(call), 1))];
  return [...openings, ...call.deltas.flatMap((delta) => [calls(fragment(delta)), calls(fragment(delta, 1))])];
}

/** Breaks a stream inside a call's arguments. */
function brokenCall(about: string, rest: (script: ResponseScript, at: number, context: FaultContext) => ResponseScript): FaultBehaviour {
  return {
    ...TOOL,
    about: `${about} inside the arguments, after ARG of their deltas`,
    on: 'stream',
    harm: 'after',
    arg: 'afterTokens',
    edit: (script, fault, context) => (script.streamed ? rest(script, breakIndex(script, fault), context) : script),
  };
}

export const TOOLS: Family<ToolKind> = {
  tool: { ...TOOL, about: 'a tool call as OpenAI sends it: the name, then the arguments in fragments' },
  'tool-whole': shaped('the whole call in one chunk', (call) => ({ deltas: [{ ...ROLE, ...calls(whole(call)) }] })),
  'tool-whole-finish': shaped('the whole call and the finish_reason in one chunk, as Gemini sends it', (call) => ({
    deltas: [{ ...ROLE, ...calls(whole(call)) }],
    finish: 'tool_calls',
  })),
  'tool-id-repeated': shaped('id, type and name repeated in each fragment', (call) => ({
    deltas: [
      { ...ROLE, ...calls(opening(call)) },
      ...call.deltas.map((delta) => calls({ ...opening(call), function: { name: call.name, arguments: delta } })),
    ],
  })),
  'tool-id-empty': shaped('an empty id and a null name in each later fragment', (call) => ({
    deltas: [
      { ...ROLE, ...calls(opening(call)) },
      ...call.deltas.map((delta) => calls({ index: 0, id: '', type: 'function', function: { name: null, arguments: delta } })),
    ],
  })),
  'tool-id-missing': shaped(
    'a call without an id',
    (call) => ({
      deltas: [
        { ...ROLE, ...calls({ index: 0, function: { name: call.name, arguments: '' } }) },
        ...call.deltas.map((delta) => calls(fragment(delta))),
      ],
    }),
    (tools) => tools.map(({ id: _id, ...tool }) => tool),
  ),
  'tool-name-split': shaped('the name in two fragments', (call) => ({
    deltas: [
      { ...ROLE, ...calls({ ...opening(call), function: { name: call.name.slice(0, 3), arguments: '' } }) },
      calls({ index: 0, function: { name: call.name.slice(3) } }),
      ...call.deltas.map((delta) => calls(fragment(delta))),
    ],
  })),
  'tool-two': {
    ...shaped(
      'two calls, one after the other',
      (call) => ({
        deltas: [
          { ...ROLE, ...calls(opening(call)) },
          ...call.deltas.map((delta) => calls(fragment(delta))),
          calls(opening(second(call), 1)),
          ...call.deltas.map((delta) => calls(fragment(delta, 1))),
        ],
      }),
      withSecond,
    ),
    content: asTwo,
  },
  'tool-interleaved': {
    ...shaped('two calls with interleaved fragments', (call) => ({ deltas: interleaved(call) }), withSecond),
    content: asTwo,
  },
  'tool-index-missing': shaped('fragments without an index', (call) => ({
    deltas: [
      { ...ROLE, ...calls({ id: call.id, type: 'function', function: { name: call.name, arguments: '' } }) },
      ...call.deltas.map((delta) => calls({ function: { arguments: delta } })),
    ],
  })),
  'tool-index-same': shaped(
    'two complete calls, both with index 0',
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
    'arguments that are an object, not a string',
    (call) => ({ deltas: [{ ...ROLE, ...calls({ ...opening(call), function: { name: call.name, arguments: { city: 'Tromsø' } } }) }] }),
    argumentsOf(() => ({ city: 'Tromsø' })),
  ),
  'tool-arguments-broken': {
    ...shaped(
      'arguments with truncated JSON, although finish_reason is tool_calls',
      (call) => ({ deltas: [{ ...ROLE, ...calls(opening(call)) }, ...call.deltas.slice(0, -1).map((delta) => calls(fragment(delta)))] }),
      argumentsOf((text) => text.slice(0, -2)),
    ),
    harm: 'degraded',
  },
  'tool-after-text': {
    ...shaped('text, then a call', (call) => ({
      deltas: [
        { role: 'assistant', content: 'Let me' },
        { content: ' look.' },
        calls(opening(call)),
        ...call.deltas.map((delta) => calls(fragment(delta))),
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
  'tool-cut': brokenCall('FIN', (script, at) => endAt(script, at, { do: 'fin' })),
  'tool-error': brokenCall('an error event', (script, at, { dialect, model }) =>
    endWithError(script, at, dialect, { reason: 'server', model }),
  ),
  'function-call': {
    ...TOOL,
    about: 'the legacy form, function_call',
    only: 'openai-chat',
    edit(script) {
      const legacy = restreamed(script, (call) => ({
        deltas: [
          { ...ROLE, function_call: { name: call.name, arguments: '' } },
          ...call.deltas.map((delta) => ({ function_call: { arguments: delta } })),
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
