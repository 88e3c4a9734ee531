import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CredentialError } from '../../transport/credential-error.ts';
import { loadAwsProfile } from './aws-profile.ts';

function identityOf(t: TestContext, files: { readonly credentials?: string; readonly config?: string }, profile = 'default') {
  const directory = mkdtempSync(join(tmpdir(), 'breakwater-aws-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const [credentialsFile, configFile] = [join(directory, 'credentials'), join(directory, 'config')];
  return { kind: 'aws-profile', region: 'us-east-1', service: 'bedrock', profile, credentialsFile, configFile } as const;
}

test('a profile is read from the credentials file, else from the config file under its long name', async (t) => {
  const credentials = '[default]\naws_access_key_id=A\naws_secret_access_key=s\n';
  const config = '[default]\nregion=x\naws_session_token=ignored-by-none\n[profile dev]\naws_access_key_id=D\naws_secret_access_key=d\n';
  const found = await loadAwsProfile(identityOf(t, { credentials, config }));
  assert.deepEqual(found.value, { accessKeyId: 'A', secretAccessKey: 's', sessionToken: null });
  assert.equal((await loadAwsProfile(identityOf(t, { credentials, config }, 'dev'))).value.accessKeyId, 'D');
});

test('errors for missing credentials have paths and names for the operator, but not for callers', async (t) => {
  const cases: readonly (readonly [Parameters<typeof identityOf>[1], string])[] = [
    [{}, 'no AWS credentials: the shared files do not exist'],
    [{ credentials: '[other]\n' }, 'no AWS credentials: the profile has no access key'],
    [{ config: '[profile dev]\nsso_session = x\n' }, 'no AWS credentials: the profile uses sso_session, which is not supported'],
  ];
  for (const [files, message] of cases) {
    const identity = identityOf(t, files, 'dev');
    await assert.rejects(loadAwsProfile(identity), (error) => {
      assert.ok(error instanceof CredentialError);
      assert.deepEqual([error.message, error.refusal], [message, null]);
      assert.ok(error.place.includes('dev') && error.place.includes(identity.credentialsFile));
      return true;
    });
  }
});
