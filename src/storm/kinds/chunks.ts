/** Unusual JSON chunks: the position of usage, and fields that are repeated, missing or foreign. */
import { closingIndex, contentIndex, insertAt, sendStep } from '../script-edits.ts';
import type { ResponseScript } from '../response-script.ts';
import { choicesOf, omitting, patternOf, toEvent, withBody, withChoices, withDelta, withEvents } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { EventPart } from '../dialect.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { ChunkKind } from '../fault-names.ts';

const USAGE = { prompt_tokens: 11, completion_tokens: 22, total_tokens: 33 };

const ODD_USAGE = { prompt_tokens: '11', completion_tokens: -1, total_tokens: 3.5, prompt_tokens_details: null };

const FILTERED = { hate: { filtered: false, severity: 'safe' }, self_harm: { filtered: false, severity: 'safe' } };

/** Applies only to chat streams. */
const CHAT = { on: 'stream', harm: 'none', only: 'openai-chat' } as const;

/** A kind that changes the chunks of a stream without losing content. */
function changing(about: string, change: (chunk: Chunk, part: EventPart, index: number) => Chunk): FaultBehaviour {
  return { ...CHAT, about, edit: (script) => withEvents(script, (...args) => [{ chunk: change(...args) }]) };
}

/** A kind that moves usage elsewhere; the regular usage chunk is dropped. */
function usageIn(about: string, change: (chunk: Chunk, part: EventPart) => Chunk): FaultBehaviour {
  return {
    ...CHAT,
    about,
    edit: (script) => withEvents(script, (chunk, part) => (part === 'usage' ? [] : [{ chunk: change(omitting(chunk, 'usage'), part) }])),
  };
}

/** Replaces the usage chunks of a stream, whether requested or not. */
function withUsageChunks(script: ResponseScript, toChunks: (pattern: Chunk) => Chunk[]): ResponseScript {
  if (!script.streamed) return script;
  const bare = withEvents(script, (chunk, part) => (part === 'usage' ? [] : [{ chunk }]));
  const done = bare.steps.findIndex((step) => step.do === 'send' && step.part === 'done');
  const events = toChunks(patternOf(script)).map((chunk) => sendStep(toEvent(chunk), 'usage'));
  return insertAt(bare, done === -1 ? bare.steps.length : done, ...events);
}

function usageChunks(about: string, toChunks: (pattern: Chunk) => Chunk[]): FaultBehaviour {
  return { ...CHAT, about, edit: (script) => withUsageChunks(script, toChunks) };
}

/** Adds chunks without choices before the content or after half of it, like Azure's annotations. */
function annotated(script: ResponseScript, before: boolean): ResponseScript {
  const pattern = patternOf(script);
  const at = before ? script.steps.findIndex((step) => step.do === 'send') : Math.ceil((contentIndex(script) + closingIndex(script)) / 2);
  const chunk = before
    ? {
        ...pattern,
        id: '',
        model: '',
        object: '',
        created: 0,
        prompt_filter_results: [{ prompt_index: 0, content_filter_results: FILTERED }],
      }
    : {
        ...pattern,
        choices: [
          {
            index: 0,
            content_filter_offsets: { check_offset: 0, start_offset: 0, end_offset: 64 },
            content_filter_results: FILTERED,
            finish_reason: null,
          },
        ],
      };
  return insertAt(script, at, sendStep(toEvent(chunk), before ? 'preamble' : 'content'));
}

/** Nested deeply enough that a recursive parser overflows its stack. */
const nestedLists = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

export const CHUNKS: Family<ChunkKind> = {
  'usage-each': changing('cumulative usage in every chunk', (chunk, _part, index) => ({
    ...chunk,
    usage: { ...USAGE, completion_tokens: index, total_tokens: USAGE.prompt_tokens + index },
  })),
  'usage-finish': usageIn('usage in the chunk with finish_reason, without a chunk of its own', (chunk, part) =>
    part === 'finish' ? { ...chunk, usage: USAGE } : chunk,
  ),
  'usage-no-choices': usageChunks('a usage chunk without the choices field', (pattern) => [
    { ...omitting(pattern, 'choices'), usage: USAGE },
  ]),
  'usage-null': usageChunks('a last chunk with choices: [] and usage: null', (pattern) => [{ ...pattern, usage: null }]),
  'usage-missing': usageChunks('no usage, although it was requested', () => []),
  'usage-groq': usageIn('usage under x_groq, in the chunk with finish_reason', (chunk, part) =>
    part === 'finish' ? { ...chunk, x_groq: { id: 'req_storm', usage: { queue_time: 0.01, ...USAGE } } } : chunk,
  ),
  'usage-twice': usageChunks('the usage chunk twice', (pattern) => [
    { ...pattern, usage: USAGE },
    { ...pattern, usage: USAGE },
  ]),
  'usage-first': {
    ...usageChunks('usage before any content, and not at the end', () => []),
    edit: (script) =>
      insertAt(
        withEvents(script, (chunk, part) => (part === 'usage' ? [] : [{ chunk: omitting(chunk, 'usage') }])),
        contentIndex(script),
        sendStep(toEvent({ ...patternOf(script), usage: USAGE }), 'preamble'),
      ),
  },
  'usage-odd': {
    about: 'usage numbers that are strings, fractional, negative or missing',
    on: 'both',
    harm: 'none',
    only: 'openai-chat',
    edit: (script) =>
      script.streamed
        ? withUsageChunks(script, (pattern) => [{ ...pattern, usage: ODD_USAGE }])
        : withBody(script, (body) => ({ ...body, usage: ODD_USAGE })),
  },
  'filter-first': {
    ...CHAT,
    about: 'a first chunk with choices: [] and prompt_filter_results, as Azure sends it',
    edit: (script) => (script.streamed ? annotated(script, true) : script),
  },
  'filter-between': {
    ...CHAT,
    about: 'a chunk between content chunks whose choice has annotations and no delta, as Azure sends it',
    edit: (script) => (script.streamed ? annotated(script, false) : script),
  },
  'choices-null': {
    ...CHAT,
    about: 'a chunk with choices: null before the content',
    edit: (script) =>
      script.streamed
        ? insertAt(script, contentIndex(script), sendStep(toEvent({ ...patternOf(script), choices: null }), 'preamble'))
        : script,
  },
  duplicate: {
    about: 'the first content chunk twice, identical',
    on: 'stream',
    harm: 'none',
    edit: (script) =>
      withEvents(script, (chunk, part, index) => (part === 'content' && index === 0 ? [{ chunk }, { chunk }] : [{ chunk }])),
  },
  'ids-change': changing('a different id and created in every chunk', (chunk, part, index) => ({
    ...chunk,
    id: `${String(chunk['id'])}-${part}-${index}`,
    created: Number(chunk['created']) + index,
  })),
  'role-each': changing('the role in every delta', (chunk) => withDelta(chunk, { role: 'assistant' })),
  'role-missing': {
    ...CHAT,
    about: 'no role delta: the stream starts with content',
    edit: (script) => {
      const hasTool = script.steps.some(
        (step) => step.do === 'send' && step.part === 'preamble' && String(step.bytes).includes('"tool_calls"'),
      );
      return withEvents(script, (chunk, part) => (part === 'preamble' && !hasTool ? [] : [{ chunk }]));
    },
  },
  'index-missing': changing('choices without an index', (chunk) => withChoices(chunk, (choice) => omitting(choice, 'index'))),
  'delta-missing': changing('no delta in the chunk with finish_reason', (chunk, part) =>
    part === 'finish' ? withChoices(chunk, (choice) => omitting(choice, 'delta')) : chunk,
  ),
  'deltas-empty': {
    ...CHAT,
    about: 'an empty delta after each content event',
    edit: (script) =>
      withEvents(script, (chunk, part) =>
        part === 'content' && choicesOf(chunk).some((choice) => 'delta' in choice)
          ? [{ chunk }, { chunk: withChoices(chunk, (choice) => ({ ...choice, delta: {} })) }]
          : [{ chunk }],
      ),
  },
  'fields-unknown': {
    about: 'unknown fields everywhere',
    on: 'both',
    harm: 'none',
    edit(script) {
      const more = (chunk: Chunk): Chunk => ({
        storm: { nested: [1, null, 'x'] },
        ...withChoices(chunk, (choice) => ({ ...choice, storm: true, stop_reason: null, token_ids: null })),
        provider: 'Storm',
        timings: { prompt_ms: 1.5 },
      });
      return script.streamed ? withEvents(script, (chunk) => [{ chunk: more(chunk) }]) : withBody(script, more);
    },
  },
  deep: {
    about: 'an unknown field nested ARG bytes deep (default 20000)',
    on: 'both',
    harm: 'none',
    arg: 'bytes',
    edit(script, fault) {
      const field = `{"storm":${nestedLists(fault.bytes ?? 20_000)},`;
      const put = (text: string) => text.replace('{', field);
      const at = script.steps.findIndex((step) => step.do === 'send');
      const step = script.steps[at];
      if (step?.do !== 'send' || typeof step.bytes !== 'string' || !step.bytes.includes('{"')) return script;
      const bytes = put(step.bytes);
      const steps = script.steps.with(at, { ...step, bytes });
      if (script.streamed) return { ...script, steps };
      return { ...script, headers: { ...script.headers, 'content-length': String(Buffer.byteLength(bytes)) }, steps };
    },
  },
};
