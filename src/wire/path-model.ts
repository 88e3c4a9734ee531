/** A JSON body whose model is in the path (Azure's deployments): the path's model replaces that of the body, or is added to it. */
import { Buffer } from 'node:buffer';
import { asBuffer } from './bytes.ts';
import { scanObject } from './json-scan.ts';

const OPEN_BRACE = 0x7b;

/** Any other body is returned as it is. */
export function withModel(bytes: Uint8Array, model: string): Uint8Array {
  const scan = scanObject(bytes);
  if (!scan.ok) return bytes;
  const body = asBuffer(bytes);
  const name = JSON.stringify(model);
  const member = scan.members.find((one) => one.name === 'model');
  if (member !== undefined) return Buffer.concat([body.subarray(0, member.start), Buffer.from(name), body.subarray(member.end)]);
  const start = body.indexOf(OPEN_BRACE) + 1;
  const added = `"model":${name}${scan.members.length > 0 ? ',' : ''}`;
  return Buffer.concat([body.subarray(0, start), Buffer.from(added), body.subarray(start)]);
}
