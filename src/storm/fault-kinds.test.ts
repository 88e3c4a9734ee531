import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { toBodyScript } from './response-script.ts';
import { FAULT_KINDS, startStorm } from './index.ts';
import type { Storm } from './index.ts';
import { createOpenAiDialect } from './openai/dialect.ts';
import { isWhole, rawCall } from './raw-call.fixture.ts';
import type { Raw } from './raw-call.fixture.ts';
import { createStormClock } from './system.ts';

const clock = createStormClock();

let storm: Storm;
before(async () => {
  storm = await startStorm({ timing: { tokens: 8 } });
});
after(() => storm.close());

const call = (fault: string, body: object = {}, enough?: (text: string) => boolean): Promise<Raw> =>
  rawCall(storm.port, fault, body, enough);

function count(raw: Raw, text: string): number {
  return raw.body.toString().split(text).length - 1;
}

const CONTENT = '"delta":{"content":';
const STREAM = { stream: true };

describe('failures', () => {
  const expected: [string, number, string][] = [
    ['429', 429, '"rate_limit_exceeded"'],
    ['429-quota', 429, '"type": "insufficient_quota"'],
    ['429-too-large', 429, 'Request too large'],
    ['429-slow-down', 429, '"slow_down"'],
    ['429-text', 429, 'try again in 1.2s'],
    ['400', 400, '"invalid_request_error"'],
    ['400-context', 400, '"context_length_exceeded"'],
    ['400-content-filter', 400, '"content_filter"'],
    ['401', 401, '"invalid_api_key"'],
    ['403', 403, 'unsupported_country'],
    ['404', 404, '"model_not_found"'],
    ['408', 408, 'error'],
    ['409', 409, 'error'],
    ['413', 413, '<html>'],
    ['500', 500, '"server_error"'],
    ['500-html', 500, '<html>'],
    ['502', 502, 'error'],
    ['502-html', 502, '<html>'],
    ['503', 503, '"server_is_overloaded"'],
    ['503-html', 503, '<html>'],
    ['504', 504, 'error'],
    ['504-html', 504, '<html>'],
    ['529', 529, 'overloaded'],
    ['status-418', 418, 'error'],
    ['500; status=599; message=custom text', 599, 'custom text'],
  ];
  for (const [fault, status, text] of expected) {
    test(`${fault} responds with ${status}, streaming or not`, async () => {
      for (const body of [{}, STREAM]) {
        const raw = await call(fault, body);
        assert.equal(raw.status, status);
        assert.ok(raw.body.toString().includes(text), raw.body.toString());
        assert.equal(raw.headers['content-type'], text === '<html>' ? 'text/html' : 'application/json');
        assert.equal(raw.headers['retry-after'], undefined);
      }
    });
  }

  test('a 429 carries each kind of retry hint', async () => {
    assert.equal((await call('429-retry-7')).headers['retry-after'], '7');
    assert.equal((await call('429-ms-33')).headers['retry-after-ms'], '33');
    const { headers } = await call('429-date-60000');
    assert.ok(Math.abs(Date.parse(headers['retry-after']!) - Date.parse(headers['date']!) - 60_000) <= 2000);
    const both = await call('429; retryAfter=1; retryAfterMs=250');
    assert.deepEqual([both.headers['retry-after'], both.headers['retry-after-ms']], ['1', '250']);
    const absurd = new Set<string | undefined>();
    for (let at = 0; at < 7; at++) absurd.add((await call('429-absurd')).headers['retry-after']);
    assert.equal(absurd.size, 7);
    assert.equal((await call('429-empty')).body.length, 0);
  });

  test('an unsupported parameter fails only if it is sent', async () => {
    const refused = await call('400-parameter-top_k', { top_k: 5 });
    assert.equal(refused.status, 400);
    assert.equal(JSON.parse(refused.body.toString()).error.param, 'top_k');
    assert.equal((await call('400-parameter-top_k')).status, 200);
  });

  test('an unknown fault is rejected by name', async () => {
    const raw = await call('nonsense');
    assert.equal(raw.status, 400);
    assert.match(raw.body.toString(), /unknown fault kind: nonsense/);
  });
});

describe('broken connections', () => {
  test('reset and close happen before any byte', async () => {
    assert.deepEqual([(await call('reset')).end, (await call('close')).end], ['RST', 'FIN']);
    assert.equal((await call('reset')).status, 0);
    assert.equal((await call('close', STREAM)).status, 0);
  });

  for (const [fault, end] of [
    ['cut', 'FIN'],
    ['cut-reset', 'RST'],
  ] as const) {
    test(`${fault} breaks a stream after the given tokens and a non-streaming body at half`, async () => {
      const stream = await call(`${fault}-3`, STREAM);
      assert.deepEqual([stream.end, count(stream, CONTENT), isWhole(stream)], [end, 3, false]);
      const complete = await call(fault);
      assert.equal(complete.end, end);
      assert.equal(complete.rest.length, Math.floor(Number(complete.headers['content-length']) / 2));
    });
  }

  test('a cut stream breaks in the middle by default', async () => {
    assert.equal(count(await call('cut', STREAM), CONTENT), 4);
  });
});

describe('silences', () => {
  test('silence lasts as long as requested, then the response follows', async () => {
    for (const [fault, body] of [
      ['silence-20', {}],
      ['silence-content-20', STREAM],
      ['stall-2; ms=20', STREAM],
      ['stall; ms=20', {}],
    ] as const) {
      const begun = clock.now();
      assert.ok(isWhole(await call(fault, body)), fault);
      assert.ok(clock.now() - begun >= 19, fault);
    }
  });

  test('silence before content follows the head and the preamble', async () => {
    const stream = await call('silence-content', STREAM, (text) => text.includes('"role":"assistant"'));
    assert.deepEqual([stream.end, count(stream, CONTENT)], ['open', 0]);
    const complete = await call('silence-content', {}, (text) => text.includes('\r\n\r\n'));
    assert.deepEqual([complete.status, complete.rest.length], [200, 0]);
  });

  test('a stall leaves the connection open after part of the content', async () => {
    const stream = await call('stall-2', STREAM, (text) => text.split(CONTENT).length === 3);
    assert.deepEqual([stream.end, count(stream, CONTENT), isWhole(stream)], ['open', 2, false]);
  });
});

describe('failing streams', () => {
  test('an error event comes first, after the preamble, or after content, and ends the stream', async () => {
    for (const [fault, contents, role] of [
      ['error-first', 0, 0],
      ['error-preamble', 0, 1],
      ['error-content-3', 3, 1],
    ] as const) {
      const stream = await call(fault, STREAM);
      assert.deepEqual(
        [count(stream, CONTENT), count(stream, '"role":"assistant"'), count(stream, 'data: {"error":')],
        [contents, role, 1],
        fault,
      );
      assert.ok(isWhole(stream) && count(stream, '[DONE]') === 0, fault);
      const complete = await call(fault);
      assert.equal(complete.status, 200);
      assert.ok('error' in JSON.parse(complete.body.toString()));
    }
  });

  test('each terminating event can be omitted', async () => {
    const ends = async (fault: string) => {
      const stream = await call(fault, STREAM);
      assert.ok(isWhole(stream));
      return [count(stream, '"finish_reason":"stop"'), count(stream, '[DONE]')];
    };
    assert.deepEqual(await ends('no-done'), [1, 0]);
    assert.deepEqual(await ends('no-finish'), [0, 1]);
    assert.deepEqual(await ends('no-end'), [0, 0]);
  });

  test('a malformed event occurs among valid ones; a non-streaming body is half a JSON document', async () => {
    const stream = await call('malformed-2', STREAM);
    const bad = stream.body
      .toString()
      .split('\n\n')
      .filter((event) => event.startsWith('data: {') && !isJson(event.slice(6)));
    assert.deepEqual([bad.length, count(stream, '[DONE]')], [1, 1]);
    const complete = await call('malformed');
    assert.ok(isWhole(complete) && !isJson(complete.body.toString()));
  });

  test('comments, CRLF, BOM and garbage surround a valid response', async () => {
    assert.equal(count(await call('comments-1', STREAM), ': STORM PROCESSING\n\n'), 5);
    const crlf = (await call('crlf', STREAM)).body.toString();
    assert.ok(crlf.includes('\r\n\r\n') && !/[^\r]\n/.test(crlf));
    assert.ok((await call('bom')).body.toString().startsWith('\uFEFF\n{'));
    assert.ok((await call('trailing')).body.toString().endsWith('}garbage'));
  });
});

describe('inadequate responses', () => {
  const choice = async (fault: string) => JSON.parse((await call(fault)).body.toString()).choices[0];

  test('an empty response in each of its forms', async () => {
    assert.equal(await choice('empty-choices'), undefined);
    assert.equal((await choice('empty-null')).message.content, null);
    assert.equal((await choice('empty')).message.content, '');
    const body = await call('empty-body');
    assert.deepEqual([body.status, body.body.length], [200, 0]);
    for (const fault of ['empty-choices', 'empty-null', 'empty']) assert.equal(count(await call(fault, STREAM), CONTENT), 0);
  });

  test('truncated, refused, filtered, repeated, prose for JSON', async () => {
    assert.deepEqual(
      [(await choice('truncated-2')).finish_reason, (await choice('truncated-2')).message.content.split(' ').length],
      ['length', 2],
    );
    assert.match((await choice('refusal')).message.refusal, /sorry/);
    assert.ok(count(await call('refusal', STREAM), '"delta":{"refusal":') > 3);
    assert.equal((await choice('content-filter')).finish_reason, 'content_filter');
    assert.ok((await choice('repetition')).message.content.length > 500);
    const prose = await call('prose', { response_format: { type: 'json_object' } });
    assert.ok(!isJson(JSON.parse(prose.body.toString()).choices[0].message.content));
  });
});

describe('responses in the wrong form', () => {
  test('HTML, a wrong type, JSON for a stream, a stream for JSON', async () => {
    const page = await call('html', STREAM);
    assert.deepEqual([page.status, page.headers['content-type']], [200, 'text/html']);
    assert.equal((await call('wrong-type')).headers['content-type'], 'text/plain');
    assert.ok('choices' in JSON.parse((await call('json-for-stream', STREAM)).body.toString()));
    assert.equal(count(await call('sse-for-plain'), '[DONE]'), 1);
  });

  test('gzip decodes to the response, streaming or not', async () => {
    for (const body of [{}, STREAM]) {
      const raw = await call('gzip', body);
      assert.equal(raw.headers['content-encoding'], 'gzip');
      assert.match(gunzipSync(raw.body).toString(), body === STREAM ? /\[DONE\]/ : /^\{.*\}$/);
    }
  });

  test('a drip and single bytes carry the same response', async () => {
    for (const fault of ['bytes', 'drip-1']) {
      assert.equal(count(await call(fault, STREAM), CONTENT), 8);
      const complete = await call(fault);
      assert.ok(isJson(complete.body.toString()) && isWhole(complete));
    }
  });

  test('single bytes are sent one per event-loop turn; a drip waits before every 64', () => {
    // The socket decides how much a caller reads at once, so the script is inspected.
    const context = { dialect: createOpenAiDialect([]), model: 'm', call: 1, epochMs: 0, stream: false, fields: {} };
    const sizes = (kind: 'bytes' | 'drip') => {
      const { steps } = FAULT_KINDS[kind].edit!(toBodyScript(200, 'text/plain', 'x'.repeat(130)), { kind }, context);
      return steps.map((step) => (step.do === 'send' ? step.bytes.length : step.do));
    };
    assert.deepEqual(sizes('drip'), ['head', 'wait', 64, 'wait', 64, 'wait', 2]);
    assert.deepEqual(sizes('bytes'), ['head', ...Array.from({ length: 130 }, () => ['turn', 1]).flat()]);
  });
});

test('every kind can be requested by model name and by list, over HTTP too, and is counted by its name', async () => {
  const kinds = Object.entries(FAULT_KINDS).flatMap(([kind, { endless }]) => (endless === true ? [] : [kind]));
  const other = await startStorm({ timing: { tokens: 3 } });
  await Promise.all(kinds.map((kind) => rawCall(other.port, '', { model: `fault-${kind}` })));
  const control = other.url.replace('/v1', '/storm');
  const faults = kinds.map((kind) => ({ kind, models: [kind] }));
  assert.equal((await fetch(`${control}/faults`, { method: 'POST', body: JSON.stringify(faults) })).status, 200);
  await Promise.all(kinds.map((kind) => rawCall(other.port, '', { model: kind })));
  const { byFault } = (await (await fetch(`${control}/stats`)).json()) as { byFault: Record<string, number> };
  assert.deepEqual(byFault, Object.fromEntries(kinds.map((kind) => [kind, 2])));
  await other.close();
});

test('every kind ends, whatever the request', async () => {
  const kinds = Object.entries(FAULT_KINDS).flatMap(([kind, { endless }]) => (endless === true ? [] : [kind]));
  const tool = { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }], tool_choice: 'required' };
  const bodies = [{}, STREAM, { ...STREAM, max_tokens: 0 }, { ...STREAM, ...tool }, tool, { ...STREAM, n: 2 }];
  await Promise.all(kinds.flatMap((kind) => bodies.map((body) => call(kind, body))));
  assert.equal(storm.stats().running, 0);
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
