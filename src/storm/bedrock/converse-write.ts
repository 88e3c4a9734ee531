/** Formats Converse responses, complete and as events. */
import { argumentsOf, callsOf } from '../content.ts';
import type { Choice, Finish } from '../content.ts';
import type { ResponseFacts, EventPart, ResponseBody, StreamEvent } from '../dialect.ts';

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

/** The complete response. */
export function converseBody(parts: ConverseParts, choice: Choice | undefined, facts: ResponseFacts): ResponseBody {
  const content = blocksOf(parts, choice, facts).map(({ whole }) => whole);
  const body = { output: { message: { role: 'assistant', content } }, stopReason: stopOf(choice) ?? null, ...meta(facts) };
  return { contentType: 'application/json', body: JSON.stringify(body) };
}

/** The response as events. */
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
  if (choice.reasoning !== undefined) {
    const text = choice.reasoning.join('');
    const signature = sign(text, facts.call);
    const deltas = [...choice.reasoning.map((delta) => ({ text: delta })), { signature }].map((reasoningContent) => ({ reasoningContent }));
    blocks.push({ whole: { reasoningContent: { reasoningText: { text, signature } } }, deltas });
  }
  if (choice.kind === 'absent' || choice.kind === 'null') return blocks;
  const text = choice.deltas.join('');
  if (choice.kind === 'tool') {
    const calls = callsOf(choice).map(({ tool, deltas: inputs }, at): Block => {
      const call = { toolUseId: `tooluse_storm${facts.call}${at === 0 ? '' : `_${at}`}`, name: tool };
      const deltas = inputs.map((input) => ({ toolUse: { input } }));
      return { whole: { toolUse: { ...call, input: argumentsOf(inputs) } }, start: { toolUse: call }, deltas };
    });
    return [...blocks, ...calls];
  }
  return [...blocks, { whole: { text }, deltas: choice.deltas.map((delta) => ({ text: delta })) }];
}
