/** Credentials of clouds: secrets in plain text become variables. */
import { isRecord } from '../../core/json.ts';
import type { Draft, Fields } from './draft.ts';
import { readKey, readText } from './values.ts';

/** A path, or the key itself as JSON. */
export function googleOf(draft: Draft, given: unknown): Fields {
  if (isRecord(given) || (typeof given === 'string' && given.trim().startsWith('{'))) {
    const text = typeof given === 'string' ? given : JSON.stringify(given);
    return { google: { key: draft.secret(text, 'VERTEX_CREDENTIALS', 'the JSON key of the Google service account') } };
  }
  const path = readText(draft, given, 'the path of the JSON key of the Google service account');
  return path === null ? {} : { google: { keyFile: path } };
}

/** Empty if the key is incomplete. */
export function awsKeyOf(draft: Draft, id: unknown, secret: unknown, token: unknown): Fields {
  const accessKeyId = readKey(draft, id, 'AWS_ACCESS_KEY_ID', 'the ID of the AWS access key');
  const secretAccessKey = readKey(draft, secret, 'AWS_SECRET_ACCESS_KEY', 'the secret of the AWS access key');
  const sessionToken = readKey(draft, token, 'AWS_SESSION_TOKEN', 'the AWS session token');
  if (accessKeyId === null || secretAccessKey === null) return {};
  return { aws: { accessKeyId, secretAccessKey, ...(sessionToken === null ? {} : { sessionToken }) } };
}

/** Empty if it is incomplete. */
export function entraOf(draft: Draft, tenant: unknown, client: unknown, secret: unknown, scope?: unknown): Fields {
  const tenantId = readText(draft, tenant, 'the Entra tenant');
  const clientId = readText(draft, client, 'the Entra application');
  const clientSecret = readKey(draft, secret, 'AZURE_CLIENT_SECRET', 'the secret of the Entra application');
  const scopeText = readText(draft, scope, 'the scope of Entra tokens');
  if (tenantId === null || clientId === null || clientSecret === null) return {};
  return { entra: { tenantId, clientId, clientSecret, ...(scopeText === null ? {} : { scope: scopeText }) } };
}
