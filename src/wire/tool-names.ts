/** Names of tools across dialects: OpenAI takes shorter ones than Anthropic, whose agents put the name of a server before each. */
import { hash } from 'node:crypto';
import type { EventFilter } from './custom-tools.ts';
import { createCustomToolFilter } from './custom-tools.ts';
import type { DialectName, ModelTool } from './model.ts';

/** In characters. */
const LENGTH_MAX: Readonly<Record<DialectName, number>> = {
  'openai-chat': 64,
  'openai-responses': 64,
  'anthropic-messages': 128,
  gemini: 64,
  'bedrock-converse': 64,
};
const TAKEN = /^[A-Za-z0-9_-]*$/;
const NOT_TAKEN = /[^A-Za-z0-9_-]/g;
const HASH_LENGTH = 8;

/** The name under which a target of `dialect` gets the tool: the same wherever it takes that. */
export function toTargetName(dialect: DialectName, name: string): string {
  const max = LENGTH_MAX[dialect];
  if (name.length <= max && TAKEN.test(name)) return name;
  const tail = hash('sha256', name, 'hex').slice(0, HASH_LENGTH);
  return `${name.replaceAll(NOT_TAKEN, '_').slice(0, max - HASH_LENGTH - 1)}_${tail}`;
}

/** Gives calls the names and kinds that the request's tools have at its caller; null: they have them already. `dialect`: the target's. */
export function createToolFilter(dialect: DialectName, tools: readonly ModelTool[]): EventFilter | null {
  const originals = new Map<string, string>();
  for (const tool of tools) {
    if (tool.type === 'foreign') continue;
    const sent = toTargetName(dialect, tool.name);
    if (sent !== tool.name) originals.set(sent, tool.name);
  }
  const custom = createCustomToolFilter(tools);
  if (originals.size === 0) return custom;
  const rename: EventFilter = (event) => {
    if (event.type !== 'part_start' || event.head.type !== 'tool_call') return [event];
    const name = originals.get(event.head.name);
    return name === undefined ? [event] : [{ ...event, head: { ...event.head, name } }];
  };
  return custom === null ? rename : (event) => rename(event).flatMap(custom);
}
