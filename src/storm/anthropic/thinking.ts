/** Validation of thinking blocks in requests: their signatures, and the handling of blocks signed for another key or model. */
import { asText } from '../request.ts';
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Fields } from '../request.ts';
import type { SealOwner, Seals } from '../seals.ts';

/** Whether the request enables thinking. */
export function thinks({ thinking }: Fields): boolean {
  return isRecord(thinking) && (thinking['type'] === 'enabled' || thinking['type'] === 'adaptive');
}

/** Whether the response includes the text of the thinking. */
export function showsThinking({ thinking }: Fields): boolean {
  return !isRecord(thinking) || thinking['display'] !== 'omitted';
}

/** `thinking.block_binding.prefix_mismatch_behavior: "drop_block"`: blocks bound to another key or model are dropped. */
function dropsForeign({ thinking }: Fields): boolean {
  const binding = isRecord(thinking) ? thinking['block_binding'] : undefined;
  return isRecord(binding) && binding['prefix_mismatch_behavior'] === 'drop_block';
}

/** The content blocks of a message; empty if its content is a string. */
export function blocksOf(message: unknown): readonly Record<string, unknown>[] {
  return isRecord(message) && Array.isArray(message['content']) ? message['content'].filter(isRecord) : [];
}

/** Verifies every thinking block; returns the dropped blocks in the form in which the response lists them. */
export function verifyThinking(
  fields: Fields,
  messages: readonly unknown[],
  seals: Seals,
  owner: SealOwner,
): Failure | { dropped: Record<string, unknown>[] } {
  const dropped: Record<string, unknown>[] = [];
  for (const [i, message] of messages.entries()) {
    for (const [j, block] of blocksOf(message).entries()) {
      const path = `messages.${i}.content.${j}`;
      // Storm creates no redacted thinking, so such a block comes from elsewhere.
      if (block['type'] === 'redacted_thinking') return invalid(`${path}: Invalid \`data\` in \`redacted_thinking\` block`);
      if (block['type'] !== 'thinking') continue;
      const verdict = seals.verify('thinking', block['signature'], owner, asText(block['thinking']));
      if (verdict === 'good') continue;
      if (verdict === 'broken') return invalid(`${path}: Invalid \`signature\` in \`thinking\` block`);
      if (!dropsForeign(fields)) return invalid(`${path}: this \`thinking\` block is bound to a different conversation`);
      const reason = verdict === 'other key' ? 'organization_binding_mismatch' : 'model_binding_mismatch';
      dropped.push({ type: 'thinking_dropped', path, reason });
    }
  }
  return { dropped };
}

function invalid(message: string): Failure {
  return { reason: 'invalid', message };
}
