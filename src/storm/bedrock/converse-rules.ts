/** Validation of Converse conversations: turns, tools and signed reasoning. */
import { asText } from '../request.ts';
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Fields } from '../request.ts';
import type { SealOwner, Seals } from '../seals.ts';

type Block = Readonly<Record<string, unknown>>;

export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly blocks: readonly Block[];
}

/** Parses `messages`, or returns the validation error. */
export function readTurns({ messages, toolConfig }: Fields, seals: Seals, owner: SealOwner): readonly Turn[] | Failure {
  if (!Array.isArray(messages) || messages.length === 0)
    return invalid("1 validation error detected: Value at 'messages' failed to satisfy constraint: Member must not be empty");
  const turns: Turn[] = [];
  for (const message of messages as unknown[]) {
    const { role, content } = isRecord(message) ? message : {};
    if (role !== 'user' && role !== 'assistant')
      return invalid("Value at 'messages.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]");
    if (!Array.isArray(content) || content.length === 0) return invalid('The content field in the Message object is empty.');
    if (turns.at(-1)?.role === role)
      return invalid(
        'A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.',
      );
    turns.push({ role, blocks: content.filter(isRecord) });
  }
  if (turns[0]?.role !== 'user')
    return invalid('A conversation must start with a user message. Try again with a conversation that starts with a user message.');
  return faultInText(turns) ?? faultInConfig(toolConfig, turns) ?? faultInTools(turns) ?? faultInReasoning(turns, seals, owner) ?? turns;
}

function faultInText(turns: readonly Turn[]): Failure | undefined {
  for (const [index, { blocks }] of turns.entries()) {
    const at = blocks.findIndex(({ text }) => typeof text === 'string' && text.trim() === '');
    if (at === -1) continue;
    return invalid(
      `The text field in the ContentBlock object at messages.${index}.content.${at} is blank. Add text to the text field, and try again.`,
    );
  }
  return undefined;
}

function faultInConfig(toolConfig: unknown, turns: readonly Turn[]): Failure | undefined {
  const usesTools = turns.some(({ blocks }) => blocks.some(({ toolUse, toolResult }) => toolUse !== undefined || toolResult !== undefined));
  if (!usesTools || toolConfig !== undefined) return undefined;
  return invalid('The toolConfig field must be defined when using toolUse and toolResult content blocks.');
}

function idsOf(turn: Turn | undefined, field: 'toolUse' | 'toolResult'): unknown[] {
  return (turn?.blocks ?? []).map((block) => block[field]).flatMap((tool) => (isRecord(tool) ? [tool['toolUseId']] : []));
}

function faultInTools(turns: readonly Turn[]): Failure | undefined {
  for (const [index, turn] of turns.entries()) {
    const results = idsOf(turns[index + 1], 'toolResult');
    const open = idsOf(turn, 'toolUse').filter((id) => !results.includes(id));
    if (open.length > 0)
      return invalid(`Expected toolResult blocks at messages.${index + 1}.content for the following Ids: ${open.join(', ')}`);
    const calls = idsOf(turns[index - 1], 'toolUse');
    if (idsOf(turn, 'toolResult').some((id) => !calls.includes(id))) {
      return invalid(`The number of toolResult blocks at messages.${index}.content exceeds the number of toolUse blocks of previous turn.`);
    }
  }
  return undefined;
}

function faultInReasoning(turns: readonly Turn[], seals: Seals, owner: SealOwner): Failure | undefined {
  for (const [index, { blocks }] of turns.entries()) {
    for (const [at, { reasoningContent: reasoning }] of blocks.entries()) {
      const text = isRecord(reasoning) ? reasoning['reasoningText'] : undefined;
      if (!isRecord(text)) continue;
      if (seals.verify('thinking', text['signature'], owner, asText(text['text'])) === 'good') continue;
      return invalid(
        `The model returned the following errors: messages.${index}.content.${at}: Invalid \`signature\` in \`thinking\` block`,
      );
    }
  }
  return undefined;
}

function invalid(message: string): Failure {
  return { reason: 'invalid', message };
}
