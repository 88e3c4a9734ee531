/** Collects all values that must not be shown, logged or passed on: keys, configured headers, and variables that may be secret. */
import type { Config } from './config.ts';
import type { Path } from './faults.ts';
import type { Inserted } from './interpolate.ts';
import type { IdentityConfig } from './identity.ts';
import { isSecretHeader, isSecretVariable } from './mask.ts';

/** Shorter values occur in ordinary text. */
const lengthMin = 8;

/** Headers with public values. */
const publicHeaders = new Set(
  (
    'accept accept-charset accept-language cache-control content-language content-type from http-referer origin referer user-agent x-title ' +
    'anthropic-beta anthropic-version openai-beta openai-version'
  ).split(' '),
);

/** Common placeholders for a key that is not needed. */
const placeholder =
  /^(?:(?:sk-)?no[-_ ]?(?:api[-_ ]?)?key(?:[-_ ]?(?:required|needed))?|not[-_ ]?(?:needed|required|used)|lm-studio|placeholder|anything|whatever)$/i;

export function secretsOf(config: Config, inserted: readonly Inserted[]): readonly string[] {
  const found = new Set<string>();
  addKey(found, config.server.adminKey);
  for (const client of config.clients) addKey(found, client.key ?? '');
  for (const provider of Object.values(config.providers)) {
    if (provider.apiKeys !== 'caller') for (const key of provider.apiKeys) addKey(found, key);
    if (provider.identity !== null) for (const secret of identitySecrets(provider.identity)) addKey(found, secret);
    for (const [name, value] of Object.entries(provider.headers)) addHeader(found, name.toLowerCase(), value);
  }
  if (config.store.kind === 'redis') addStoreUrl(found, config.store.url);
  addUrl(found, config.telemetry.traces.endpoint);
  for (const one of inserted) addInserted(found, one);
  return [...found];
}

function identitySecrets(identity: IdentityConfig): readonly string[] {
  switch (identity.kind) {
    case 'aws':
      return [identity.accessKeyId, identity.secretAccessKey, identity.sessionToken ?? ''];
    case 'entra':
      return [identity.clientSecret];
    case 'google-key':
      return identity.json === null ? [] : secretsInKey(identity.json);
    default:
      return [];
  }
}

/** The secret members of a JSON key; each line of a private key separately too, since lines may be quoted alone. */
export function secretsInKey(json: string): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return [json];
  }
  if (typeof value !== 'object' || value === null) return [json];
  const secrets = ['private_key', 'client_secret', 'refresh_token'].map((name) => (value as Record<string, unknown>)[name]);
  const found = secrets.filter((secret) => typeof secret === 'string');
  return found.flatMap((secret) => [secret, ...secret.split('\n').filter((line) => line.length >= 32)]);
}

function addKey(to: Set<string>, key: string): void {
  if (!isTrivial(key) && !placeholder.test(key)) to.add(key);
}

function addHeader(to: Set<string>, name: string, value: string): void {
  if (publicHeaders.has(name)) return;
  const credential = /^(?:bearer|basic|token|apikey)\s+(\S+)$/i.exec(value)?.[1];
  if (credential !== undefined) {
    addKey(to, credential);
    addKey(to, passwordOf(credential));
  } else if (isSecretHeader(name)) addKey(to, value);
  else if (!isWord(value)) addKey(to, value);
}

/** The password of `basic` credentials; empty: not a `user:password` pair. */
function passwordOf(credential: string): string {
  const decoded = Buffer.from(credential, 'base64').toString();
  return /^[\x20-\x7e]+:[\x20-\x7e]+$/.test(decoded) ? decoded.slice(decoded.indexOf(':') + 1) : '';
}

/** A variable is secret by its name, or by its place in the config. */
function addInserted(to: Set<string>, { variable, value, path }: Inserted): void {
  if (URL.canParse(value) && value.includes('://')) addUrl(to, value);
  else if (isSecretVariable(variable)) addKey(to, value);
  else if (mayHoldSecret(path) && !isWord(value)) addKey(to, value);
}

/** Settings whose free text is sent to a provider, unlike model names, hosts, paths and numbers. */
function mayHoldSecret(path: Path): boolean {
  return path.some((part) => part === 'set' || part === 'baseUrl' || part === 'endpoint');
}

/** The password of a URL, or its user if there is no password, and keys in its query. */
function addUrl(to: Set<string>, text: string): void {
  if (!URL.canParse(text)) return;
  const { username, password, searchParams } = new URL(text);
  for (const part of [password, password === '' ? username : '']) {
    addKey(to, part);
    addKey(to, decoded(part));
  }
  for (const [name, value] of searchParams) if (isSecretVariable(name)) addKey(to, value);
}

/** With several hosts it is not a standard URL. */
function addStoreUrl(to: Set<string>, text: string): void {
  addUrl(to, text);
  const login = /^[a-z]+:\/\/([^@/?]*)@/i.exec(text)?.[1] ?? '';
  const password = login.includes(':') ? login.slice(login.indexOf(':') + 1) : login;
  for (const part of [password, decoded(password)]) addKey(to, part);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}

/** Too short, or a number, date, flag, address or media type. */
function isTrivial(value: string): boolean {
  if (value.length < lengthMin || /^[\d.:+\-TZ ]+$/.test(value)) return true;
  return /^(?:true|false|[a-z][a-z\d+.-]*:\/\/\S*|(?:application|text|audio|image|multipart)\/\S+|localhost(?::\d+)?)$/i.test(value);
}

/** A single ordinary word. */
function isWord(value: string): boolean {
  return /^[A-Za-z]{1,15}$/.test(value);
}
