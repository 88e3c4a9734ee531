/** Tool names across dialects: OpenAI accepts shorter ones than Anthropic, whose agents prefix each with the name of a server. */
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
const VALID_NAME = /^[A-Za-z0-9_-]*$/;
const INVALID_CHARACTERS = /[^A-Za-z0-9_-]/g;
const HASH_LENGTH = 8;

/** The name of the tool at a target of `dialect`: unchanged if the target accepts it. */
export function toTargetName(dialect: DialectName, name: string): string {
  const max = LENGTH_MAX[dialect];
  if (name.length <= max && VALID_NAME.test(name)) return name;
  const tail = hash('sha256', name, 'hex').slice(0, HASH_LENGTH);
  return `${name.replaceAll(INVALID_CHARACTERS, '_').slice(0, max - HASH_LENGTH - 1)}_${tail}`;
}

/** Restores the caller's tool names and kinds in calls; null: there is nothing to restore. `dialect`: the target's. */
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
