/** Our own credential never reaches a caller, though some providers quote it when they refuse it, or echo what they were sent. */
import type { Failure } from '../core/facts.ts';
import type { Credential, Secret } from './route.ts';

/** Shorter values are no secrets, and would be found everywhere. */
const SECRET_CHARACTERS_MIN = 6;

/** Those of `values` that are long enough to be secrets. */
export function createSecrets(values: readonly string[]): readonly Secret[] {
  return values.filter((text) => text.length >= SECRET_CHARACTERS_MIN).map((text) => ({ text, bytes: Buffer.from(text, 'latin1') }));
}

export function maskFailure(failure: Failure, credential: Credential): Failure {
  const message = maskText(failure.message, credential);
  const body = failure.body === null ? null : maskBytes(failure.body, credential);
  return message === failure.message && body === failure.body ? failure : { ...failure, message, body };
}

/** The same text, with the key starred out. */
export function maskText(text: string, { secrets }: Credential): string {
  let masked = text;
  for (const secret of secrets) if (masked.includes(secret.text)) masked = masked.replaceAll(secret.text, stars);
  return masked;
}

/** The same bytes where the key does not stand in them; else as many, with the key starred out. */
export function maskBytes(bytes: Uint8Array, { secrets }: Credential): Uint8Array {
  let masked = bytes;
  for (const secret of secrets) {
    const view = Buffer.isBuffer(masked) ? masked : Buffer.from(masked.buffer, masked.byteOffset, masked.byteLength);
    if (view.includes(secret.bytes)) masked = Buffer.from(view.toString('latin1').replaceAll(secret.text, stars), 'latin1');
  }
  return masked;
}

/** The same pieces; the list itself where nothing had to be starred out. */
export function maskPieces(pieces: readonly Uint8Array[], credential: Credential): readonly Uint8Array[] {
  let masked: Uint8Array[] | null = null;
  for (let i = 0; i < pieces.length; i++) {
    const bytes = maskBytes(pieces[i]!, credential);
    if (bytes !== pieces[i]) (masked ??= pieces.slice())[i] = bytes;
  }
  return masked ?? pieces;
}

/** As long as what it stands for, so that no length has to be corrected. */
function stars(secret: string): string {
  return '*'.repeat(secret.length);
}
