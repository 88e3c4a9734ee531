/** Our own credential never reaches a caller, though some providers quote it when they refuse it, or echo what they were sent. */
import type { Failure } from '../core/facts.ts';
import type { Credential } from './route.ts';

/** Shorter values are no secrets, and would be found everywhere. */
const SECRET_CHARACTERS_MIN = 6;

export function maskFailure(failure: Failure, credential: Credential): Failure {
  const message = maskText(failure.message, credential);
  const body = failure.body === null ? null : maskBytes(failure.body, credential);
  return message === failure.message && body === failure.body ? failure : { ...failure, message, body };
}

/** The same text, with the key starred out. */
export function maskText(text: string, { secrets }: Credential): string {
  let masked = text;
  for (const secret of secrets) if (secret.length >= SECRET_CHARACTERS_MIN) masked = masked.replaceAll(secret, stars);
  return masked;
}

/** The same bytes where the key does not stand in them; else as many, with the key starred out. */
export function maskBytes(bytes: Uint8Array, { secrets }: Credential): Uint8Array {
  let masked = bytes;
  for (const secret of secrets) {
    if (secret.length < SECRET_CHARACTERS_MIN) continue;
    const view = Buffer.from(masked.buffer, masked.byteOffset, masked.byteLength);
    if (view.includes(secret, 0, 'latin1')) masked = Buffer.from(view.toString('latin1').replaceAll(secret, stars), 'latin1');
  }
  return masked;
}

/** As long as what it stands for, so that no length has to be corrected. */
function stars(secret: string): string {
  return '*'.repeat(secret.length);
}
