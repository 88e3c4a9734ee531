/** A JSON body whose model is in the path (Azure's deployments): the path's model replaces that of the body, or is added to it. */
import { Buffer } from 'node:buffer';
import { asBuffer } from './bytes.ts';
import type { BodyMember } from './request-body.ts';

const OPEN_BRACE = 0x7b;

/**
 * The pieces of the body with that model. `members`: those of its scan. Of two members `model` only the first is replaced: whatever reads the
 * body refuses the second.
 */
export function withModel(bytes: Uint8Array, members: readonly BodyMember[], model: string): Uint8Array[] {
  const name = JSON.stringify(model);
  const member = members.find((one) => one.name === 'model');
  if (member !== undefined) return [bytes.subarray(0, member.start), Buffer.from(name), bytes.subarray(member.end)];
  const start = asBuffer(bytes).indexOf(OPEN_BRACE) + 1;
  const added = `"model":${name}${members.length > 0 ? ',' : ''}`;
  return [bytes.subarray(0, start), Buffer.from(added), bytes.subarray(start)];
}
