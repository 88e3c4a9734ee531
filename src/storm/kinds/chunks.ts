/** Odd chunks of JSON: where usage stands, and fields that come too often, too rarely or from elsewhere. */
import { closingIndex, contentIndex, inserted, say } from '../answer-edits.ts';
import type { Answer } from '../answer.ts';
import { choicesOf, omitting, patternOf, toEvent, withBody, withChoices, withDelta, withEvents } from '../event-edits.ts';
import type { Chunk } from '../event-edits.ts';
import type { EventPart } from '../dialect.ts';
import type { Family, FaultBehaviour } from '../fault-behaviour.ts';
import type { ChunkKind } from '../fault-names.ts';

const USAGE = { prompt_tokens: 11, completion_tokens: 22, total_tokens: 33 };

const ODD_USAGE = { prompt_tokens: '11', completion_tokens: -1, total_tokens: 3.5, prompt_tokens_details: null };

const FILTERED = { hate: { filtered: false, severity: 'safe' }, self_harm: { filtered: false, severity: 'safe' } };

/** What only a chat stream can have. */
const CHAT = { on: 'stream', harm: 'none', only: 'openai-chat' } as const;

/** A kind that changes the chunks of a stream and takes nothing from what they say. */
function changing(about: string, change: (chunk: Chunk, part: EventPart, index: number) => Chunk): FaultBehaviour {
  return { ...CHAT, about, answer: (answer) => withEvents(answer, (...args) => [{ chunk: change(...args) }]) };
}

/** A kind whose usage is where the caller's own usage chunk does not stand; that chunk is left out. */
function usageIn(about: string, change: (chunk: Chunk, part: EventPart) => Chunk): FaultBehaviour {
  return {
    ...CHAT,
    about,
    answer: (answer) => withEvents(answer, (chunk, part) => (part === 'usage' ? [] : [{ chunk: change(omitting(chunk, 'usage'), part) }])),
  };
}

/** The usage chunks of a stream, asked for or not, are these. */
function withUsageChunks(answer: Answer, toChunks: (pattern: Chunk) => Chunk[]): Answer {
  if (!answer.streamed) return answer;
  const bare = withEvents(answer, (chunk, part) => (part === 'usage' ? [] : [{ chunk }]));
  const done = bare.steps.findIndex((step) => step.do === 'send' && step.part === 'done');
  const events = toChunks(patternOf(answer)).map((chunk) => say(toEvent(chunk), 'usage'));
  return inserted(bare, done === -1 ? bare.steps.length : done, ...events);
}

function usageChunks(about: string, toChunks: (pattern: Chunk) => Chunk[]): FaultBehaviour {
  return { ...CHAT, about, answer: (answer) => withUsageChunks(answer, toChunks) };
}

/** Chunks without choices before the content and after its half, as Azure sends its annotations. */
function annotated(answer: Answer, before: boolean): Answer {
  const pattern = patternOf(answer);
  const at = before ? answer.steps.findIndex((step) => step.do === 'send') : Math.ceil((contentIndex(answer) + closingIndex(answer)) / 2);
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
  return inserted(answer, at, say(toEvent(chunk), before ? 'preamble' : 'content'));
}

/** Nested so deep that a reader which recurses runs out of stack. */
const nestedLists = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

export const CHUNKS: Family<ChunkKind> = {
  'usage-each': changing('usage so far in every chunk', (chunk, _part, index) => ({
    ...chunk,
    usage: { ...USAGE, completion_tokens: index, total_tokens: USAGE.prompt_tokens + index },
  })),
  'usage-finish': usageIn('usage in the chunk with finish_reason, and in none of its own', (chunk, part) =>
    part === 'finish' ? { ...chunk, usage: USAGE } : chunk,
  ),
  'usage-no-choices': usageChunks('a usage chunk that has no choices at all', (pattern) => [
    { ...omitting(pattern, 'choices'), usage: USAGE },
  ]),
  'usage-null': usageChunks('a last chunk with choices: [] and usage: null', (pattern) => [{ ...pattern, usage: null }]),
  'usage-missing': usageChunks('no usage, though it was asked for', () => []),
  'usage-groq': usageIn('usage under x_groq, in the chunk with finish_reason', (chunk, part) =>
    part === 'finish' ? { ...chunk, x_groq: { id: 'req_storm', usage: { queue_time: 0.01, ...USAGE } } } : chunk,
  ),
  'usage-twice': usageChunks('the usage chunk twice', (pattern) => [
    { ...pattern, usage: USAGE },
    { ...pattern, usage: USAGE },
  ]),
  'usage-first': {
    ...usageChunks('usage before any content, and not again', () => []),
    answer: (answer) =>
      inserted(
        withEvents(answer, (chunk, part) => (part === 'usage' ? [] : [{ chunk: omitting(chunk, 'usage') }])),
        contentIndex(answer),
        say(toEvent({ ...patternOf(answer), usage: USAGE }), 'preamble'),
      ),
  },
  'usage-odd': {
    about: 'usage in numbers that are texts, fractions, negative or missing',
    on: 'both',
    harm: 'none',
    only: 'openai-chat',
    answer: (answer) =>
      answer.streamed
        ? withUsageChunks(answer, (pattern) => [{ ...pattern, usage: ODD_USAGE }])
        : withBody(answer, (body) => ({ ...body, usage: ODD_USAGE })),
  },
  'filter-first': {
    ...CHAT,
    about: 'a first chunk with choices: [] and prompt_filter_results, as Azure sends it',
    answer: (answer) => (answer.streamed ? annotated(answer, true) : answer),
  },
  'filter-between': {
    ...CHAT,
    about: 'a chunk amid the content whose choice has annotations and no delta, as Azure sends it',
    answer: (answer) => (answer.streamed ? annotated(answer, false) : answer),
  },
  'choices-null': {
    ...CHAT,
    about: 'a chunk with choices: null before the content',
    answer: (answer) =>
      answer.streamed ? inserted(answer, contentIndex(answer), say(toEvent({ ...patternOf(answer), choices: null }), 'preamble')) : answer,
  },
  duplicate: {
    about: 'the first content chunk comes twice, byte for byte',
    on: 'stream',
    harm: 'none',
    answer: (answer) =>
      withEvents(answer, (chunk, part, index) => (part === 'content' && index === 0 ? [{ chunk }, { chunk }] : [{ chunk }])),
  },
  'ids-change': changing('another id and another created in every chunk', (chunk, part, index) => ({
    ...chunk,
    id: `${String(chunk['id'])}-${part}-${index}`,
    created: Number(chunk['created']) + index,
  })),
  'role-each': changing('the role in every delta', (chunk) => withDelta(chunk, { role: 'assistant' })),
  'role-missing': {
    ...CHAT,
    about: 'no role delta: the content comes first',
    answer: (answer) => {
      const hasTool = answer.steps.some(
        (step) => step.do === 'send' && step.part === 'preamble' && String(step.bytes).includes('"tool_calls"'),
      );
      return withEvents(answer, (chunk, part) => (part === 'preamble' && !hasTool ? [] : [{ chunk }]));
    },
  },
  'index-missing': changing('choices without an index', (chunk) => withChoices(chunk, (choice) => omitting(choice, 'index'))),
  'delta-missing': changing('no delta in the chunk with finish_reason', (chunk, part) =>
    part === 'finish' ? withChoices(chunk, (choice) => omitting(choice, 'delta')) : chunk,
  ),
  'deltas-empty': {
    ...CHAT,
    about: 'an empty delta after each content event',
    answer: (answer) =>
      withEvents(answer, (chunk, part) =>
        part === 'content' && choicesOf(chunk).some((choice) => 'delta' in choice)
          ? [{ chunk }, { chunk: withChoices(chunk, (choice) => ({ ...choice, delta: {} })) }]
          : [{ chunk }],
      ),
  },
  'fields-unknown': {
    about: 'fields that nobody knows, everywhere',
    on: 'both',
    harm: 'none',
    answer(answer) {
      const more = (chunk: Chunk): Chunk => ({
        storm: { nested: [1, null, 'x'] },
        ...withChoices(chunk, (choice) => ({ ...choice, storm: true, stop_reason: null, token_ids: null })),
        provider: 'Storm',
        timings: { prompt_ms: 1.5 },
      });
      return answer.streamed ? withEvents(answer, (chunk) => [{ chunk: more(chunk) }]) : withBody(answer, more);
    },
  },
  deep: {
    about: 'an unknown field nested ARG bytes deep (default 20000)',
    on: 'both',
    harm: 'none',
    arg: 'bytes',
    answer(answer, fault) {
      const field = `{"storm":${nestedLists(fault.bytes ?? 20_000)},`;
      const put = (text: string) => text.replace('{', field);
      const at = answer.steps.findIndex((step) => step.do === 'send');
      const step = answer.steps[at];
      if (step?.do !== 'send' || typeof step.bytes !== 'string' || !step.bytes.includes('{"')) return answer;
      const bytes = put(step.bytes);
      const steps = answer.steps.with(at, { ...step, bytes });
      if (answer.streamed) return { ...answer, steps };
      return { ...answer, headers: { ...answer.headers, 'content-length': String(Buffer.byteLength(bytes)) }, steps };
    },
  },
};
