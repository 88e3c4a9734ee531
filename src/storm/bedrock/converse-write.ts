/** Converse's answers, whole and as events. */
import { callsOf } from '../content.ts';
import type { Choice, Finish } from '../content.ts';
import type { ResponseFacts, EventPart, PlainBody, StreamEvent } from '../dialect.ts';

const STOP: Readonly<Record<Finish, string | undefined>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool: 'tool_use',
  filter: 'content_filtered',
  none: undefined,
};

export interface ConverseParts {
  readonly sign: (thinking: string, call: number) => string;
}

interface Block {
  readonly whole: Readonly<Record<string, unknown>>;
  readonly start?: Readonly<Record<string, unknown>>;
  readonly deltas: readonly Readonly<Record<string, unknown>>[];
}

/** The whole answer. */
export function plainConverse(parts: ConverseParts, choice: Choice | undefined, facts: ResponseFacts): PlainBody {
  const content = blocksOf(parts, choice, facts).map(({ whole }) => whole);
  const body = { output: { message: { role: 'assistant', content } }, stopReason: stopOf(choice) ?? null, ...meta(facts) };
  return { contentType: 'application/json', body: JSON.stringify(body) };
}

/** The answer as events. */
export function converseEvents(parts: ConverseParts, choice: Choice | undefined, facts: ResponseFacts): StreamEvent[] {
  const events: StreamEvent[] = [];
  const add = (part: EventPart, name: string, fields: Readonly<Record<string, unknown>>) =>
    events.push({ part, name, data: JSON.stringify({ ...fields, p: 'abcdefgh' }) });
  add('preamble', 'messageStart', { role: 'assistant' });
  const blocks = blocksOf(parts, choice, facts);
  for (const [contentBlockIndex, { start, deltas }] of blocks.entries()) {
    if (start !== undefined) add('preamble', 'contentBlockStart', { contentBlockIndex, start });
    for (const delta of deltas) add('content', 'contentBlockDelta', { contentBlockIndex, delta });
    add(contentBlockIndex === blocks.length - 1 ? 'finish' : 'content', 'contentBlockStop', { contentBlockIndex });
  }
  const stopReason = stopOf(choice);
  if (stopReason !== undefined) add('finish', 'messageStop', { stopReason });
  add('usage', 'metadata', meta(facts));
  return events;
}

function stopOf(choice: Choice | undefined): string | undefined {
  return choice?.reason ?? STOP[choice?.finish ?? 'none'];
}

function meta({ usage: { input, output } }: ResponseFacts): Readonly<Record<string, unknown>> {
  return { usage: { inputTokens: input, outputTokens: output, totalTokens: input + output }, metrics: { latencyMs: 1 } };
}

function blocksOf({ sign }: ConverseParts, choice: Choice | undefined, facts: ResponseFacts): Block[] {
  if (choice === undefined) return [];
  const blocks: Block[] = [];
  if (choice.thoughts !== undefined) {
    const text = choice.thoughts.join('');
    const signature = sign(text, facts.call);
    const deltas = [...choice.thoughts.map((piece) => ({ text: piece })), { signature }].map((reasoningContent) => ({ reasoningContent }));
    blocks.push({ whole: { reasoningContent: { reasoningText: { text, signature } } }, deltas });
  }
  if (choice.kind === 'absent' || choice.kind === 'null') return blocks;
  const text = choice.pieces.join('');
  if (choice.kind === 'tool') {
    const calls = callsOf(choice).map(({ tool, pieces }, at): Block => {
      const call = { toolUseId: `tooluse_storm${facts.call}${at === 0 ? '' : `_${at}`}`, name: tool };
      const deltas = pieces.map((input) => ({ toolUse: { input } }));
      return { whole: { toolUse: { ...call, input: parsed(pieces.join('')) } }, start: { toolUse: call }, deltas };
    });
    return [...blocks, ...calls];
  }
  return [...blocks, { whole: { text }, deltas: choice.pieces.map((piece) => ({ text: piece })) }];
}

/** A call cut at its bound is no whole JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return {};
  }
}
