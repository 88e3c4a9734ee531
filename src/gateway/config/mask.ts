/** Secrets made unreadable before anything is shown. */

/** At most the last four characters, and none of a secret shorter than twelve. */
export function maskSecret(secret: string): string {
  return secret.length < 12 ? '****' : `****${secret.slice(-4)}`;
}

/** Header names whose values are credentials. */
export function isSecretHeader(name: string): boolean {
  return /auth|key|token|secret|password|passwd|cookie|credential|session|signature/i.test(name);
}

/** The text with the user and password of every URL in it masked. */
export function maskUserinfo(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/?#\s]*@/gi, '$1****@');
}

/** Environment variables whose values are taken for secrets, wherever they are used. */
export function isSecretVariable(name: string): boolean {
  return /key|token|secret|password|passwd|credential/i.test(name);
}
