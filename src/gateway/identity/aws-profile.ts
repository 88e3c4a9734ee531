/** Credentials of a profile in AWS's shared files, which other tools update before they expire. */
import { readFile } from 'node:fs/promises';
import type { AwsCredentials } from '../../endpoint/sigv4.ts';
import { CredentialError } from '../../transport/credential-error.ts';
import type { IdentityConfig } from '../config/identity.ts';
import type { Loaded } from './renewed-value.ts';

/** Files are read again after half of this, in milliseconds. */
const FRESH_MS = 60_000;

export async function loadAwsProfile(identity: Extract<IdentityConfig, { kind: 'aws-profile' }>): Promise<Loaded<AwsCredentials>> {
  const { profile, credentialsFile, configFile } = identity;
  const [credentials, config] = await Promise.all([read(credentialsFile), read(configFile)]);
  const inCredentials = credentials === null ? {} : sectionOf(credentials, profile);
  const inConfig = config === null ? {} : sectionOf(config, profile === 'default' ? profile : `profile ${profile}`);
  // All values come from one file, as a session token belongs to its key.
  const found = inCredentials['aws_access_key_id'] === undefined ? { ...inCredentials, ...inConfig } : inCredentials;
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey, aws_session_token: sessionToken = '' } = found;
  if (accessKeyId === undefined || secretAccessKey === undefined) throw missing(identity, found, credentials === null && config === null);
  return { value: { accessKeyId, secretAccessKey, sessionToken: sessionToken === '' ? null : sessionToken }, forMs: FRESH_MS };
}

/** Null: the file does not exist. */
async function read(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as { code?: string }).code ?? 'unknown';
    if (code === 'ENOENT') return null;
    throw new CredentialError(`no AWS credentials: a shared file cannot be read (${code})`, null, file);
  }
}

const ELSEWHERE = ['role_arn', 'sso_session', 'sso_start_url', 'credential_process', 'web_identity_token_file', 'login_session'];

function missing(
  { profile, credentialsFile, configFile }: Extract<IdentityConfig, { kind: 'aws-profile' }>,
  found: Readonly<Record<string, string>>,
  lacksFiles: boolean,
): CredentialError {
  const elsewhere = ELSEWHERE.find((name) => found[name] !== undefined);
  const why = lacksFiles
    ? 'the shared files do not exist'
    : elsewhere === undefined
      ? 'the profile has no access key'
      : `the profile uses ${elsewhere}, which is not supported`;
  return new CredentialError(`no AWS credentials: ${why}`, null, `profile ${profile} of ${credentialsFile} and ${configFile}`);
}

/** The settings of a section; in repeated sections the last value wins. Indented lines continue a setting above and are ignored. */
export function sectionOf(text: string, name: string): Record<string, string> {
  const found: Record<string, string> = {};
  let isIn = false;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line)?.[1];
    if (section !== undefined) isIn = section.replaceAll(/\s+/g, ' ').replaceAll(/["']/g, '') === name;
    const setting = isIn && section === undefined ? /^([\w.-]+)\s*=\s*(.*?)\s*$/.exec(line) : null;
    if (setting !== null) found[setting[1]!.toLowerCase()] = setting[2]!.replace(/\s+[#;].*$/, '');
  }
  return found;
}
