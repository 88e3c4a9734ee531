import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLineRedact, createRedact, redactedTextMax } from './redact.ts';

const redact = createRedact(['s3cret phrase', 'ab.cd+ef/gh', 'short']);

const echoes: readonly (readonly [string, string])[] = [
  ['Incorrect API key provided: sk-abcdefghijklmnop1234.', 'sk-abc'],
  ['Incorrect API key provided: sk-proj-**************wxyz. You can', 'wxyz'],
  ['invalid x-api-key sk-ant-api03-Ab_Cd-Ef012345', 'api03'],
  ['Authorization: Bearer abc.def-ghi', 'abc.def'],
  ['authorization: basic dXNlcjpwYXNz', 'dXNlcj'],
  ['GET https://host/v1beta/models/gemini?key=AIzaSyA1234567890abcdefg failed', 'AIza'],
  ['API key not valid: AIzaSyA-12_34567890abcdefghijklmnop', 'AIza'],
  ['Invalid API Key gsk_1a2b3c4d5e6f7g8h', 'gsk_'],
  ['xai-0123456789abcdef is disabled', 'xai-'],
  ['token hf_abcdefGHIJKL is expired', 'hf_'],
  ['csk-1234567890abcdef, nvapi-1234567890abcdef', '90abcdef'],
  ['{"api_key": "k3y-value-0001"}', 'k3y'],
  ['api-key: 0a1b2c3d4e5f', '0a1b'],
  ['password=hunter2hunter2', 'hunter2'],
  ['redis://user:pa55word@10.0.0.1:6379 refused', 'pa55'],
  ['bad key 0123456789abcdef0123456789abcdef', '0123456789abcdef'],
  ['AKIAIOSFODNN7EXAMPLE may not call', 'AKIA'],
  ['jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def_ghi', 'eyJ'],
  ['the phrase s3cret phrase was sent', 's3cret'],
  ['as configured: ab.cd+ef/gh!', 'ab.cd'],
];

for (const [text, part] of echoes) {
  test(`masks the credential in "${text.slice(0, 48)}"`, () => {
    assert.ok(text.includes(part));
    const cleaned = redact(text);
    assert.ok(!cleaned.includes(part), cleaned);
    assert.match(cleaned, /\[redacted\]/);
  });
}

const plain = [
  'Rate limit reached for gpt-4o-mini in organization org-x on tokens per min (TPM): Limit 200000, Used 199500, Requested 900. Please try again in 1.2s.',
  "This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens.",
  'The model `meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8` does not exist',
  'connect ECONNREFUSED 127.0.0.1:9001',
  "ENOENT: no such file or directory, open '/var/lib/breakwater/v2/requests-2025-01-01.jsonl'",
  'request 9b2f6c1e-7d0a-4c57-9a43-0d1f2e3c4b5a timed out',
  'max_tokens: 4096 is too large; key: messages is missing; unknown key=value',
  'short words stay',
];

for (const text of plain) {
  test(`does not change "${text.slice(0, 48)}"`, () => {
    assert.equal(redact(text), text);
  });
}

test('a body of words joined by hyphens or underscores is examined in linear time', () => {
  const redactLine = createLineRedact([]);
  // A pattern that backtracks over each of them takes hours.
  for (const text of ['a-'.repeat(100_000), 'a_'.repeat(100_000), 'key='.repeat(50_000), `//${'a'.repeat(200_000)}`]) {
    assert.equal(redactLine(text), text);
  }
});

test('a long text is truncated, and no part of a key is left at the end', () => {
  const long = 'word '.repeat(5_000);
  assert.equal(redact(long).length, redactedTextMax + 1);
  for (let pad = 3_980; pad < 4_000; pad++) {
    const text = `${' '.repeat(pad)}sk-abcdefghijklmnop`;
    assert.ok(!redact(text).includes('sk-'));
  }
});

test('a secret inside any text is masked', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 80 }),
      fc.string({ maxLength: 80 }),
      fc.string({ minLength: 8, maxLength: 40 }),
      (before, after, secret) => {
        fc.pre(!'[redacted]'.includes(secret) && !before.includes(secret) && !after.includes(secret));
        const cleaned = createRedact([secret])(`${before} ${secret} ${after}`);
        return !cleaned.includes(` ${secret} `);
      },
    ),
  );
});

test('a line of JSON stays valid and contains no secret', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ minLength: 8, maxLength: 30 }), (value, secret) => {
      const line = JSON.stringify({ time: 1_700_000_000_000, token: 12_345_678, apiKey: 'sk-abcdefgh12345', value, text: `<${secret}>` });
      const cleaned = JSON.parse(createLineRedact([secret])(line));
      assert.doesNotMatch(JSON.stringify(cleaned), /abcdefgh12345/);
      assert.notEqual(cleaned.text, `<${secret}>`);
    }),
    { examples: [[[{ key: -5e-324 }], '        ']] },
  );
});

test('a JSON number stays a number, even with an exponent and a name like that of a key', () => {
  const line = '{"key":-5e-324,"token":[{"secret":1.5e+300}],"credential":2e20}';
  assert.equal(createLineRedact([])(line), line);
  assert.doesNotMatch(createLineRedact([])('{"key":"5e-324abc"}'), /324/);
});

test('a hostile message costs little', () => {
  const text = `${'a'.repeat(2_000)}${'key='.repeat(500)}${'//'.repeat(1_000)}${'sk-'.repeat(300)}`;
  for (let i = 0; i < 200; i++) redact(text);
});
