/**
 * Masks likely credentials in free text. Events contain no keys by construction, but providers echo them in
 * error messages, and system errors quote URLs. Masking too much loses a word of a message, masking too
 * little exposes a key, so doubtful tokens are masked.
 */

import { SecretMask } from '../core/secrets/secret-mask.ts';

/** Maximum length of the result, in UTF-16 units; longer text is truncated. */
export const redactedTextMax = 500;
/** Maximum length of text that is examined, which bounds the cost per message. */
const scannedTextMax = 4_000;
/** Shorter configured secrets would mask ordinary words. */
const secretLengthMin = 8;

const mask = '[redacted]';

/** None matches a quote or a backslash, so they apply to a line of JSON too. */
const credentialPatterns: readonly (readonly [RegExp, string])[] = [
  // Keys with a vendor's prefix: sk-, sk_live_, csk-, gsk_, xai-, pplx-, hf_, r8_, nvapi-, fw_, ghp_, github_pat_, xoxb-, tgp_, pa-, AKIA, AIza, ya29., JWTs.
  [/(?<![A-Za-z0-9])(?:c?sk|rk|pk|gsk|xai|pplx|hf|r8|nvapi|fw|gh[pousr]|github_pat|xox[a-z]|tgp|pa)[-_][\w.*+-]{6,}/g, mask],
  [/(?<![A-Za-z0-9])(?:AIza|AKIA|ASIA|ya29\.|eyJ)[\w.*+/-]{8,}=*/g, mask],
  [/\b(bearer|basic)(\s+)[\w.~+/*-]{6,}=*/gi, `$1$2${mask}`],
  // A labelled value: key=…, api_key: "…", x-api-key=…. A bare number in JSON (5e-324) is not matched and stays valid.
  [
    /((?<![A-Za-z])(?:api[-_]?key|key|token|secret|password|passwd|signature|sig|authorization|credential)["']?(?:=|:\s?)["']?)(?!bearer|basic)(?!(?<=":)-?\d+(?:\.\d+)?(?:e[-+]?\d+)?[,}\]])(?=[\w.~+/*-]*[A-Za-z])(?=[\w.~+/*-]*[\d*])[\w.~+/*-]{6,}=*/gi,
    `$1${mask}`,
  ],
  // user:password@ in a URL.
  [/(\/\/)[^\s/@"'\\]+(@)/g, `$1${mask}$2`],
  // Long runs of letters and digits: keys without a prefix, hashes. No hyphens, slashes or dots: those are model names, ids and paths.
  [/(?<![A-Za-z0-9+_])(?=[A-Za-z0-9+_]*\d)(?=[A-Za-z0-9+_]*[A-Za-z])[A-Za-z0-9+_]{32,}={0,2}/g, mask],
];

export type Redact = (text: string) => string;

/** Masks the configured secrets and everything that looks like a credential; truncates the text at `redactedTextMax`. */
export function createRedact(secrets: readonly string[]): Redact {
  const maskAll = createMask(secrets);
  return (text) => {
    let cleaned = text;
    if (text.length > scannedTextMax) {
      // The truncation may have left part of a key that no pattern matches.
      cleaned = text.slice(0, scannedTextMax).replace(/\S+$/, '');
    }
    cleaned = maskAll(cleaned);
    return cleaned.length > redactedTextMax ? `${cleaned.slice(0, redactedTextMax)}…` : cleaned;
  };
}

/**
 * As `createRedact`, for the text of a body: nothing is truncated, and JSON stays valid. The configured secrets are found in every form that
 * they have in JSON and URLs.
 */
export function createBodyRedact(secrets: readonly string[]): Redact {
  const [known, likely] = [new SecretMask(secrets), createMask([])];
  return (text) => likely(known.text(text));
}

/** As `createRedact`, for a line of JSON: nothing is truncated, and the line stays valid JSON. */
export function createLineRedact(secrets: readonly string[]): Redact {
  return createMask(secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]));
}

function createMask(secrets: readonly string[]): Redact {
  const known = secrets.filter((secret) => secret.length >= secretLengthMin).toSorted((a, b) => b.length - a.length);
  const exact = known.length === 0 ? null : new RegExp(known.map(escapePattern).join('|'), 'g');
  return (text) => {
    let cleaned = exact === null ? text : text.replace(exact, mask);
    for (const [pattern, replacement] of credentialPatterns) cleaned = cleaned.replace(pattern, replacement);
    return cleaned;
  };
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
