/** Claude Code, headless, before a gateway: what a turn of it is worth while its provider fails. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { startWorld } from '../e2e/world.ts';
import type { World } from '../e2e/world.ts';
import type { StormFault } from '../../src/storm/index.ts';
import { HeavyPackages } from './install.ts';

const folder = join(import.meta.dirname, 'claude-code');
const packages = new HeavyPackages(folder, 'Claude Code (some 400 MB)');

/** It is large, and under a licence of its own: it is installed where that is asked for. */
async function hasClaudeCode(t: TestContext): Promise<boolean> {
  if (packages.isInstalled || process.env['BREAKWATER_TEST_CLAUDE_CODE'] === '1') return packages.install(t);
  t.skip('BREAKWATER_TEST_CLAUDE_CODE=1 installs Claude Code (some 400 MB) and runs this');
  return false;
}

interface Turn {
  readonly isError: boolean;
  readonly status: number | null;
  readonly turns: number;
  readonly text: string;
}

/** One turn of it in a folder of its own; it calls `url` and nothing else. */
async function turn(t: TestContext, url: string, env: Record<string, string> = {}): Promise<Turn> {
  const home = mkdtempSync(join(tmpdir(), 'breakwater-claude-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  writeFileSync(join(home, 'harbour.txt'), 'the lighthouse is green');
  const wrapper = join(folder, 'node_modules', '@anthropic-ai', 'claude-code', 'cli-wrapper.cjs');
  const args = [wrapper, '-p', 'What colour is the lighthouse?', '--output-format', 'json', '--tools', 'Bash', '--allowedTools', 'Bash'];
  const child = spawn(process.execPath, args, {
    cwd: home,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      HOME: home,
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_AUTH_TOKEN: 'unused',
      ANTHROPIC_MODEL: 'claude-sonnet-5-5',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      CLAUDE_CODE_GATEWAY_HINT_HEADERS: '1',
      ...env,
    },
  });
  t.after(() => child.kill());
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  await new Promise((resolve) => child.on('close', resolve));
  const said = JSON.parse(out) as { is_error: boolean; api_error_status: number | null; num_turns: number; result: string };
  return { isError: said.is_error, status: said.api_error_status, turns: said.num_turns, text: said.result };
}

function start(t: TestContext, protocol: 'anthropic' | 'openai', faults: readonly StormFault[]): Promise<World> {
  return startWorld(t, {
    storms: { a: { keepBodies: 20, faults: [...faults] } },
    providers: protocol === 'anthropic' ? { a: { protocol } } : {},
    models: { 'claude-*': ['a/m'] },
  });
}

/** One call of the tool that runs a command, at the first call that no other fault strikes. */
const CALL_TOOL: StormFault = { kind: 'tool', param: 'Bash', message: '{"command":"cat harbour.txt"}', calls: [1] };

for (const protocol of ['anthropic', 'openai'] as const) {
  test(`a turn with a tool call is whole at a target of ${protocol}, through a 529 and a stream that is cut`, async (t) => {
    if (!(await hasClaudeCode(t))) return;
    const world = await start(t, protocol, [{ kind: '529', calls: [1] }, { kind: 'cut', calls: [1] }, CALL_TOOL]);
    const seen = await turn(t, world.url);
    assert.equal(seen.isError, false, seen.text);
    const storm = world.storms['a']!.stats();
    t.diagnostic(`${storm.calls} calls upstream, ${world.eventsOf('received').length} requests of Claude Code`);
    assert.equal(storm.calls, 4, 'a 529, a stream that was cut, the call of the tool, the answer');
    assert.ok(storm.log.at(-1)!.body!.includes('the lighthouse is green'), 'the result of the tool reached the provider');
    assert.equal(world.eventsOf('received').length, 3, 'the 529 did not reach it, the cut stream did');
  });
}

test('while everything fails, a turn costs the attempts of one request', async (t) => {
  if (!(await hasClaudeCode(t))) return;
  const world = await start(t, 'anthropic', [{ kind: '529' }]);
  const storm = world.storms['a']!;
  const behind = await turn(t, world.url);
  assert.equal(behind.isError, true);
  assert.equal(behind.status, 529);
  assert.equal(world.eventsOf('received').length, 1, 'x-should-retry: false is obeyed');
  const upstream = storm.stats().calls;
  assert.equal(upstream, 4);
  storm.reset();
  const alone = await turn(t, new URL(storm.url).origin, { CLAUDE_CODE_MAX_RETRIES: '3' });
  assert.equal(alone.isError, true);
  t.diagnostic(
    `${upstream} calls upstream behind the gateway, ${storm.stats().calls} without it and with 3 retries of its own (default 10)`,
  );
  assert.equal(storm.stats().calls, 4);
});
