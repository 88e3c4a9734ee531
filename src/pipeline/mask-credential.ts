import type { Failure } from '../core/facts.ts';
import type { Credential } from './route.ts';

const MASK = '****';
/** Shorter values are no secrets, and would be found everywhere. */
const SECRET_CHARACTERS_MIN = 6;

/** A failure without our own credential, which some providers quote when they refuse it: callers and logs are told the rest. */
export function maskCredential(failure: Failure, credential: Credential): Failure {
  if (credential.auth === 'caller') return failure;
  let masked = failure;
  for (let i = 1; i < credential.auth.length; i += 2) {
    const secret = credential.auth[i]!.replace(/^Bearer /, '');
    if (secret.length >= SECRET_CHARACTERS_MIN) masked = mask(masked, secret);
  }
  return masked;
}

function mask(failure: Failure, secret: string): Failure {
  const { message, body } = failure;
  const inBody = body !== null && Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(secret);
  if (!inBody && !message.includes(secret)) return failure;
  const maskedBody = inBody ? Buffer.from(Buffer.from(body).toString('latin1').replaceAll(secret, MASK), 'latin1') : body;
  return { ...failure, message: message.replaceAll(secret, MASK), body: maskedBody };
}
