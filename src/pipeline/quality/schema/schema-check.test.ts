import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { SchemaCheck } from './schema-check.ts';

const formatOf = (schema: Record<string, unknown>) => ({
  schema,
  schemaText: JSON.stringify(schema),
});
const hostile = formatOf({ type: 'string', pattern: '^(a+)+$' });
const endless = JSON.stringify(`${'a'.repeat(60)}!`);

function createCheck(t: TestContext): SchemaCheck {
  const check = new SchemaCheck();
  t.after(() => check.close());
  return check;
}

describe('a text is validated against a schema', () => {
  it('in a worker thread, or without one if there is no schema', async (t) => {
    const check = createCheck(t);
    assert.equal(check.fit('a', formatOf({ type: 'string' }), '{"cut'), 'differs');
    assert.equal(check.fit('a', { schema: null, schemaText: '' }, '{"any":1}'), 'fits');
    assert.equal(check.fit('a', { schema: null, schemaText: '' }, '[1]'), 'differs');
    assert.equal(check.fit('a', formatOf({}), '1'.repeat(1024 * 1024 + 1)), 'it is too large');
    assert.equal(check.fit('a', formatOf({ description: 'x'.repeat(200_000) }), '1'), 'it is too large');
    assert.deepEqual(await Promise.all(['"x"', '7'].map(async (text) => check.fit('a', formatOf({ type: 'string' }), text))), [
      'fits',
      'differs',
    ]);
  });

  it('without blocking the process or other clients', async (t) => {
    const check = createCheck(t);
    const done: string[] = [];
    const slow = Array.from({ length: 100 }, async () => (await check.fit('a', hostile, endless), done.push('a')));
    assert.equal(check.fit('a', hostile, endless), 'too many validations are queued');
    const looping = new AbortController();
    let turns = 0;
    const loop = (): unknown => (turns++, looping.signal.aborted || setImmediate(loop));
    loop();
    const fit = await check.fit('b', formatOf({ type: 'string' }), '"x"');
    done.push('b');
    looping.abort();
    assert.equal(fit, 'fits');
    assert.ok(done.indexOf('b') <= 3, `${done.indexOf('b')} queries of the other client ran before`);
    await Promise.all(slow);
    assert.ok(turns > 10, `${turns} turns of the loop`);
  });

  it('or gets no verdict after close', async (t) => {
    const check = createCheck(t);
    const asked = check.fit('a', hostile, endless);
    await check.close();
    assert.equal(await asked, 'it timed out');
  });
});
