/**
 * What other parsers make of the bodies that we take: a model that they find is the one that we found. Go's `encoding/json` and
 * `mime/multipart`, and Starlette's forms (python-multipart), which many servers of models stand on. Where one can't be run here, its test is skipped.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { decodeRequest } from '../../src/wire/decode-request.ts';
import { DIALECTS } from '../../src/wire/dialects.ts';
import { PassthroughScan } from '../../src/wire/passthrough-body.ts';

const TYPE = 'multipart/form-data; boundary=XX';

interface Case {
  readonly kind: 'json' | 'form';
  readonly body: string;
}

/** The model that we find; null: the body is refused, or names none. */
function ours({ kind, body }: Case): string | null {
  const bytes = Buffer.from(body, 'latin1');
  if (kind === 'json') {
    const decoded = decodeRequest(DIALECTS['openai-chat'], 'completions', bytes);
    return decoded.ok ? decoded.facts.model : null;
  }
  const scan = new PassthroughScan(TYPE, bytes);
  while (!scan.step());
  const read = scan.take();
  return read.ok ? (read.passed.model?.name ?? null) : null;
}

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

/** Bodies of many small pieces, most of them odd; those that we take are asked about. */
function cases(): Case[] {
  const name = fc.constantFrom(
    'model',
    'Model',
    'mod\\u0065l',
    '\\u006dodel',
    'MODEL',
    'stream',
    latin1('ſtream'),
    'x',
    ' model',
    'model ',
    'models',
  );
  const member = fc.tuple(name, fc.constantFrom('"a"', '"b"', 'null', '1', '{"model":"c"}', '["d"]', '"\\u0061"'));
  const json = fc
    .array(member, { minLength: 1, maxLength: 4 })
    .map((members) => ({ kind: 'json' as const, body: `{${members.map(([key, value]) => `"${key}":${value}`).join(', ')}}` }));
  const line = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', ' \r\n');
  const header = fc.constantFrom(
    'Content-Disposition: form-data; name="model"', 'content-disposition: form-data; name=model', 'Content-Disposition: form-data; name="Model"',
    'Content-Disposition: form-data; name="file"; filename="x"', 'Content-Disposition: form-data; name="model"; filename=""',
    'Content-Disposition: form-data; name="x"', "Content-Disposition: form-data; name*=utf-8''model", 'Content-Disposition: form-data;\r\n name="model"',
    'Content-Disposition: form-data; name="x\\"; name=\\"model"', 'Content-Disposition:form-data;name="model"', 'Content-Type: text/plain',
    'Content-Transfer-Encoding: quoted-printable', 'X-Other: model',
  ); // prettier-ignore
  const content = fc.constantFrom(
    'a',
    'b',
    '',
    '=61',
    'a\r\n',
    '--X',
    '--XX',
    '\n--XX',
    'a\n--XX\nContent-Disposition: form-data; name="model"\n\nb',
  );
  const part = fc
    .tuple(fc.array(header, { minLength: 1, maxLength: 2 }), content, line, line)
    .map(([headers, text, first, last]) => `--XX${first}${headers.join('\r\n')}\r\n\r\n${text}${last}`);
  const form = fc
    .tuple(
      fc.constantFrom('', '', '', '\r\n', 'x\r\n'),
      fc.array(part, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('--XX--\r\n', '--XX--', '--XX--\r\nx', ''),
    )
    .map(([before, parts, end]) => ({ kind: 'form' as const, body: before + parts.join('') + end }));
  return [...fc.sample(json, { numRuns: 10_000, seed: 1 }), ...fc.sample(form, { numRuns: 60_000, seed: 2 })].filter(
    (each) => ours(each) !== null,
  );
}

/** Asks a reader that takes lines of base64 and says, for each, the model in base64, or `-`: it refuses the body, or finds none. */
function compare(command: string, args: readonly string[]): void {
  const all = cases();
  assert.ok(all.length > 200, `${all.length} bodies are taken`);
  const input = all.map(({ kind, body }) => `${kind} ${Buffer.from(body, 'latin1').toString('base64')}\n`).join('');
  const result = spawnSync(command, args, { input, encoding: 'utf8', maxBuffer: 2 ** 26 });
  assert.equal(result.status, 0, result.stderr);
  const lines = result.stdout.trimEnd().split('\n');
  assert.equal(lines.length, all.length);
  let agreed = 0;
  for (const [i, line] of lines.entries()) {
    if (line === '-') continue;
    assert.equal(Buffer.from(line, 'base64').toString(), ours(all[i]!), JSON.stringify(all[i]));
    agreed++;
  }
  assert.ok(agreed > 200, `only ${agreed} bodies were read by both`);
}

function temporaryFile(t: TestContext, name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-reader-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const GO = `package main
import ("bufio";"bytes";"encoding/base64";"encoding/json";"fmt";"io";"mime/multipart";"os";"strings")
func form(body []byte) (string, bool) {
  f, err := multipart.NewReader(bytes.NewReader(body), "XX").ReadForm(1 << 20)
  if err != nil { return "", false }
  v := f.Value["model"]
  if len(v) == 0 { return "", false }
  return v[len(v)-1], true
}
func main() {
  in := bufio.NewScanner(os.Stdin); in.Buffer(nil, 1<<20)
  for in.Scan() {
    kind, text, _ := strings.Cut(in.Text(), " ")
    body, _ := base64.StdEncoding.DecodeString(text)
    model, ok := "", false
    if kind == "form" { model, ok = form(body) } else {
      var v struct { Model string \`json:"model"\` }
      dec := json.NewDecoder(bytes.NewReader(body))
      if dec.Decode(&v) == nil { model, ok = v.Model, true }
    }
    if ok { fmt.Println(base64.StdEncoding.EncodeToString([]byte(model))) } else { fmt.Println("-") }
  }
  _ = io.EOF
}
`;

const PYTHON = `
import asyncio, base64, json, sys
from starlette.requests import Request
async def form(body):
    sent = False
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    request = Request({"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=XX")]}, receive)
    async with request.form() as fields:
        found = [value for name, value in fields.multi_items() if name == "model"]
        return found[-1] if found and isinstance(found[-1], str) else None
for line in sys.stdin:
    kind, text = line.split()
    body = base64.b64decode(text)
    try:
        model = asyncio.run(form(body)) if kind == "form" else json.loads(body).get("model")
    except Exception:
        model = None
    print(base64.b64encode(model.encode()).decode() if isinstance(model, str) else "-")
`;

const hasGo = spawnSync('go', ['version']).status === 0;
const hasStarlette = spawnSync('python3', ['-c', 'import starlette, python_multipart']).status === 0;

test(
  "Go's encoding/json and mime/multipart find no other model",
  { skip: hasGo ? false : 'needs go (https://go.dev/dl)', timeout: 170_000 },
  (t) => {
    const file = temporaryFile(t, 'main.go', GO);
    // On a busy machine the first build, of the standard library too, takes minutes.
    const built = spawnSync('go', ['build', '-o', `${file}.out`, file], {
      env: { ...process.env, GOTOOLCHAIN: 'local' },
      timeout: 150_000,
    });
    if (built.status !== 0) return t.skip(`go could not build it in time: ${built.stderr.toString().slice(0, 200)}`);
    compare(`${file}.out`, []);
  },
);

const howTo = 'needs starlette and python-multipart (pip install starlette python-multipart)';
test('Starlette finds no other model', { skip: hasStarlette ? false : howTo, timeout: 170_000 }, (t) => {
  compare('python3', [temporaryFile(t, 'main.py', PYTHON)]);
});
