import assert from 'node:assert/strict';
import { test } from 'node:test';
import { programOf, retrySignals, type ClientProgram } from './clients.ts';

const AGENTS: readonly [string, ClientProgram | null][] = [
  ['claude-cli/2.1.332 (external, sdk-cli)', 'claude-code'],
  ['codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown (codex_exec; 0.171.0)', 'codex'],
  ['codex_cli_rs/0.149.0 (Mac OS 26.0; arm64) iTerm.app', 'codex'],
  ['codex_vscode/0.160.0', 'codex'],
  ['codex-tui/0.170.0', 'codex'],
  ['opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14', 'opencode'],
  ['GeminiCLI/0.61.0/gemini-3.8-flash (linux; x64; terminal)', 'gemini-cli'],
  ['GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)', 'gemini-cli'],
  ['GeminiCLI-a2a-server/0.61.0/gemini-2.5-pro (linux; x64)', 'gemini-cli'],
  ['GeminiCLIent/1.0', null],
  ['Cline/3.0.47', 'cline'],
  ['ai/7.0.173 ai-sdk/openai/4.0.1 runtime/node.js/24', 'ai-sdk'],
  ['ai-sdk/openai/4.0.1', 'ai-sdk'],
  ['OpenAI/JS 7.57.0', 'openai-sdk'],
  ['AsyncOpenAI/Python 2.31.0', 'openai-sdk'],
  ['Anthropic/JS 1.14.0', 'anthropic-sdk'],
  ['AsyncAnthropic/Python 1.9.0', 'anthropic-sdk'],
  ['litellm/1.110.2', 'litellm'],
  ['curl/8.5.0', null],
  ['codexample/1.0', null],
  ['constructor/1', null],
  ['', null],
  [`${'x'.repeat(10_000)} codex_exec/1`, null],
];

test('a program is recognized by the first product of its User-Agent', () => {
  for (const [agent, program] of AGENTS) assert.equal(programOf({ header: () => agent }), program, agent);
  assert.equal(programOf({ header: () => undefined }), null);
});

test('one header is looked up for an unknown program', () => {
  const asked: string[] = [];
  programOf({ header: (name) => (asked.push(name), undefined) });
  assert.deepEqual(asked, ['user-agent']);
});

const afterMs = (waitMs: number) => ({ isRetryable: true, waitMs });
const final = { isRetryable: false, waitMs: null };
const SHOULD_NOT = ['x-should-retry', 'false'];
const wait = (should: boolean, seconds: string, ms: string) => [
  'x-should-retry',
  String(should),
  'retry-after',
  seconds,
  'retry-after-ms',
  ms,
];

test('an unknown program, the SDKs and Claude Code get the original status and x-should-retry', () => {
  for (const program of [null, 'claude-code', 'openai-sdk', 'anthropic-sdk', 'litellm'] as const) {
    assert.deepEqual(retrySignals(program, 503, afterMs(1200)), { status: 503, headers: wait(true, '2', '1200') });
    assert.deepEqual(retrySignals(program, 529, final), { status: 529, headers: SHOULD_NOT });
    assert.deepEqual(retrySignals(program, 429, afterMs(90_000)), { status: 429, headers: wait(false, '90', '90000') });
  }
});

test('Codex retries after a 429 with retry-after, and stops at one without, or at a 400', () => {
  for (const status of [429, 503])
    assert.deepEqual(retrySignals('codex', status, afterMs(3000)), { status: 429, headers: wait(true, '3', '3000') });
  for (const status of [500, 502, 503, 504, 529, 408, 424, 425, 429]) {
    assert.deepEqual(retrySignals('codex', status, final), { status: 429, headers: SHOULD_NOT }, String(status));
  }
  assert.deepEqual(retrySignals('codex', 429, afterMs(61_000)), { status: 429, headers: SHOULD_NOT }, 'it would wait, and come back');
  for (const status of [400, 402, 404, 409, 413, 422]) assert.equal(retrySignals('codex', status, final).status, 400);
  for (const status of [401, 403]) assert.equal(retrySignals('codex', status, final).status, status);
});

test('programs that check the status alone get a final one that they do not retry', () => {
  for (const program of ['opencode', 'ai-sdk', 'gemini-cli'] as const) {
    for (const status of [408, 425, 429, 500, 502, 503, 504, 529]) {
      assert.deepEqual(retrySignals(program, status, final), { status: 424, headers: SHOULD_NOT }, `${program} ${status}`);
    }
    assert.equal(retrySignals(program, 409, final).status, 400);
    for (const status of [400, 401, 404, 422]) assert.equal(retrySignals(program, status, final).status, status);
    assert.deepEqual(retrySignals(program, 503, afterMs(5000)), { status: 503, headers: wait(true, '5', '5000') });
    assert.deepEqual(retrySignals(program, 429, afterMs(90_000)), { status: 429, headers: wait(false, '90', '90000') });
  }
});

test('Cline retries after a 429, the only status that it retries', () => {
  assert.deepEqual(retrySignals('cline', 503, afterMs(5000)), { status: 429, headers: wait(true, '5', '5000') });
  assert.deepEqual(retrySignals('cline', 429, final), { status: 503, headers: SHOULD_NOT });
  assert.deepEqual(retrySignals('cline', 500, final), { status: 500, headers: SHOULD_NOT });
});

test('a wait that is not a finite number is not sent', () => {
  for (const waitMs of [null, Number.NaN, Infinity]) {
    assert.deepEqual(retrySignals('codex', 503, { isRetryable: true, waitMs }), { status: 429, headers: SHOULD_NOT });
    assert.deepEqual(retrySignals(null, 503, { isRetryable: true, waitMs }), { status: 503, headers: SHOULD_NOT });
  }
  assert.deepEqual(retrySignals(null, 429, afterMs(-5)).headers, wait(true, '0', '0'));
});
