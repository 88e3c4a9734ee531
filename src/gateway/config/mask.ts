/** Masks secrets in output. */

/** At most the last four characters, and none of a secret shorter than twelve. */
export function maskSecret(secret: string): string {
  return secret.length < 12 ? '****' : `****${secret.slice(-4)}`;
}

/** Header names whose values are credentials. */
export function isSecretHeader(name: string): boolean {
  return /auth|key|token|secret|password|passwd|cookie|credential|session|signature/i.test(name);
}

/** Masks the user and password of every URL in the text, and keys and passwords in its query. */
export function maskUrls(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^/?#\s]*@/gi, '$1****@')
    .replace(/([?&][^=&#\s]*(?:key|token|secret|password|credential)[^=&#\s]*=)[^&#\s]*/gi, '$1****');
}

/** The value of a header, masked if its name or form is that of a credential. */
export function maskHeader(name: string, value: string): string {
  return isSecretHeader(name) || /^(bearer|basic|token)\s/i.test(value) ? maskSecret(value) : maskUrls(value);
}

/** Whether an environment variable is secret by name, wherever it is used. */
export function isSecretVariable(name: string): boolean {
  return /key|token|secret|passw|(?:^|_)(?:pass|pwd|pw|auth|dsn)(?:_|$)|passphrase|credential|bearer|signature/i.test(name);
}
