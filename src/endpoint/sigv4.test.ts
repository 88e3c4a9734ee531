import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { BodyHash } from './body-hash.ts';
import { signV4 } from './sigv4.ts';
import { VECTORS } from './sigv4-vectors.fixture.ts';

const ACCESS_KEY = 'AKIDEXAMPLE';
const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const AT = Date.parse('2015-08-30T12:36:00Z');

for (const { name, method, path, headers = [], body, sessionToken = null, signature } of VECTORS) {
  test(`AWS's own vector ${name}`, () => {
    const call = {
      method,
      path,
      headers: ['Host', 'example.amazonaws.com', ...headers],
      bodyHash: hashOf(body === undefined ? null : Buffer.from(body)),
    };
    const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY, sessionToken };
    const added = signV4(call, { region: 'us-east-1', service: 'service' }, credentials, AT);
    assert.match(
      added.at(-1)!,
      new RegExp(`^AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/20150830/us-east-1/service/aws4_request, SignedHeaders=`),
    );
    assert.equal(added.at(-1)!.split('Signature=')[1], signature);
    assert.deepEqual(added.slice(0, 2), ['x-amz-date', '20150830T123600Z']);
  });
}

function hashOf(body: Uint8Array | readonly Uint8Array[] | null): string {
  const hash = new BodyHash(body);
  while (!hash.step());
  return hash.digest!;
}

/** With a key, an HMAC of the input. */
class Hash {
  readonly #parts: Uint8Array[] = [];
  readonly #secret: string | Uint8Array | undefined;
  constructor(secret?: unknown) {
    this.#secret = secret as string | Uint8Array | undefined;
  }
  update(data: unknown): void {
    this.#parts.push(typeof data === 'string' ? Buffer.from(data) : Buffer.from(data as Uint8Array));
  }
  digest(): Promise<Uint8Array> {
    const all = Buffer.concat(this.#parts);
    const hash = this.#secret === undefined ? createHash('sha256') : createHmac('sha256', this.#secret);
    return Promise.resolve(hash.update(all).digest());
  }
  reset(): void {
    this.#parts.length = 0;
  }
}

test("the AWS SDK's signer makes the same signature for a call to a model, whatever its name, body and token", async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 3 });
  const token = fc.option(
    fc.string({ minLength: 1, maxLength: 80 }).map((text) => Buffer.from(text).toString('base64')),
    { nil: null },
  );
  const at = fc.integer({ min: 0, max: 4_000_000_000_000 });
  const model = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((name) => !/^\.{1,2}$/.test(name));
  await fc.assert(
    fc.asyncProperty(model, pieces, token, at, async (name, body, sessionToken, epochMs) => {
      const path = `/model/${encodeURIComponent(name)}/invoke`;
      const headers = { host: 'bedrock-runtime.eu-west-1.amazonaws.com', 'content-type': 'application/json' };
      const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY, sessionToken };
      const scope = { region: 'eu-west-1', service: 'bedrock' };
      const own = signV4(
        { method: 'POST', path, headers: Object.entries(headers).flat(), bodyHash: hashOf(body) },
        scope,
        credentials,
        epochMs,
      );
      const signer = new SignatureV4({
        ...scope,
        credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY, ...(sessionToken !== null && { sessionToken }) },
        sha256: Hash,
        applyChecksum: false,
      });
      const request = { method: 'POST', protocol: 'https:', hostname: headers.host, path, query: {}, headers, body: Buffer.concat(body) };
      const signed = await signer.sign(request, { signingDate: new Date(epochMs) });
      assert.equal(own.at(-1), signed.headers['authorization']);
    }),
    { numRuns: 200 },
  );
});
