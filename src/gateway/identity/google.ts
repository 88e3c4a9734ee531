/** Google access tokens: with the key of a service account (RFC 7523), a user's refresh token, or from the metadata server. */
import { createSign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isRecord } from '../../core/json.ts';
import { CredentialError } from '../../transport/credential-error.ts';
import type { IdentityConfig } from '../config/identity.ts';
import { secretsInKey } from '../config/secrets.ts';
import type { Loaded } from './renewed-value.ts';
import type { AskToken, TokenRequest } from './token-request.ts';

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const TOKEN_URL = 'https://oauth2.googleapis.com/token';
const ASSERTION_S = 3600;

/** Reads the key for each token, as its file may have been replaced. */
export async function loadGoogleToken(
  identity: Extract<IdentityConfig, { kind: 'google-key' }>,
  ask: AskToken,
  epochMs: number,
  onSecret: (secret: string) => void,
): Promise<Loaded<string>> {
  const { file } = identity;
  const json = identity.json ?? (await readKey(file!));
  for (const secret of secretsInKey(json)) onSecret(secret);
  return ask(tokenRequest(json, file ?? 'google.key', epochMs));
}

export function metadataTokenRequest(origin: string): TokenRequest {
  return {
    url: `${origin}/computeMetadata/v1/instance/service-accounts/default/token`,
    headers: ['metadata-flavor', 'Google'],
    form: null,
  };
}

async function readKey(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as { code?: string }).code ?? 'unknown';
    throw new CredentialError(`no access token: the key file cannot be read (${code})`, null, file);
  }
}

function tokenRequest(json: string, place: string, epochMs: number): TokenRequest {
  const fault = googleKeyFault(json);
  if (fault !== null) throw new CredentialError(`no access token: the key ${fault}`, 'invalid_key', place);
  const key = JSON.parse(json) as Readonly<Record<string, string>>;
  const url = key['token_uri'] ?? TOKEN_URL;
  if (key['type'] === 'authorized_user') {
    const { client_id = '', client_secret = '', refresh_token = '' } = key;
    return { url, form: { grant_type: 'refresh_token', client_id, client_secret, refresh_token } };
  }
  return { url, form: { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: assertionOf(key, url, place, epochMs) } };
}

function assertionOf(key: Readonly<Record<string, string>>, url: string, place: string, epochMs: number): string {
  const { client_email: email, private_key: privateKey, private_key_id: id } = key;
  const issuedAt = Math.floor(epochMs / 1000);
  const head = { alg: 'RS256', typ: 'JWT', ...(id !== undefined && { kid: id }) };
  const claims = { iss: email, scope: SCOPE, aud: url, iat: issuedAt, exp: issuedAt + ASSERTION_S };
  const text = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  try {
    return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey!, 'base64url')}`;
  } catch {
    throw new CredentialError('no access token: the private_key is not a PEM key', 'invalid_key', place);
  }
}

const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  service_account: ['client_email', 'private_key'],
  authorized_user: ['client_id', 'client_secret', 'refresh_token'],
};

/** Describes what is wrong with a JSON key, without any of its values; null: nothing found. */
export function googleKeyFault(json: string): string | null {
  let key: unknown;
  try {
    key = JSON.parse(json);
  } catch {
    return 'is not JSON';
  }
  if (!isRecord(key)) return 'is not a JSON object';
  const type = key['type'];
  const members = typeof type === 'string' && Object.hasOwn(MEMBERS, type) ? MEMBERS[type]! : null;
  if (members === null)
    return `has the type ${JSON.stringify(type ?? null).slice(0, 60)}; supported types: ${Object.keys(MEMBERS).join(' and ')}`;
  const missing = members.find((name) => typeof key[name] !== 'string' || key[name] === '');
  if (missing !== undefined) return `lacks ${missing}`;
  const url = key['token_uri'];
  return url === undefined || (typeof url === 'string' && URL.canParse(url)) ? null : 'has a token_uri that is not a URL';
}
