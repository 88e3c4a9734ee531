import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentRoleOf, type AgentRole } from './agent-role.ts';
import type { ClientProgram } from './clients.ts';

const turn = (fields: object): Record<string, string> => ({ 'x-codex-turn-metadata': JSON.stringify(fields) });

const CASES: readonly [Record<string, string>, ClientProgram | null, AgentRole | null][] = [
  [{ 'x-claude-code-request-class': 'main' }, 'claude-code', 'main'],
  [{ 'x-claude-code-request-class': 'workflow' }, null, 'workflow'],
  [{ 'x-claude-1p-request-class': 'auxiliary' }, 'claude-code', 'auxiliary'],
  [{ 'x-claude-code-request-class': 'compaction', 'x-claude-code-agent-id': 'a1' }, 'claude-code', 'compaction'],
  [{ 'x-claude-code-agent-id': 'a1' }, 'claude-code', 'subagent'],
  [{ 'x-claude-1p-request-class': 'blocking-subagent' }, 'claude-code', 'subagent'],
  [{ 'x-claude-code-request-class': 'constructor' }, 'claude-code', null],
  [{ 'x-openai-subagent': 'review' }, 'codex', 'subagent'],
  [{ 'x-openai-subagent': 'compact' }, 'codex', 'compaction'],
  [{ 'x-codex-parent-thread-id': 't1' }, 'codex', 'subagent'],
  [turn({ request_kind: 'turn', agent_name: '/root', thread_source: 'user' }), 'codex', 'main'],
  [turn({ request_kind: 'turn', agent_name: `/${['root', 'reviewer'].join('/')}` }), 'codex', 'subagent'],
  [turn({ request_kind: 'turn', thread_source: 'subagent' }), 'codex', 'subagent'],
  [turn({ request_kind: 'compaction', agent_name: '/root' }), 'codex', 'compaction'],
  [turn({ request_kind: 'turn' }), null, null],
  [{ 'x-codex-turn-metadata': '{"request_kind":' }, 'codex', null],
  [{ 'x-codex-turn-metadata': 'null' }, 'codex', null],
  [turn({ request_kind: 'turn', padding: 'x'.repeat(10_000) }), 'codex', null],
  [{ 'x-parent-session-id': 'ses_a' }, 'opencode', 'subagent'],
  [{}, 'opencode', null],
];

test('the role of an agent request is read from its headers', () => {
  for (const [headers, program, role] of CASES) {
    assert.equal(agentRoleOf({ header: (name) => headers[name] }, program, true), role, JSON.stringify(headers));
  }
});

test('only one header is looked up without a session', () => {
  const asked: string[] = [];
  assert.equal(agentRoleOf({ header: (name) => (asked.push(name), undefined) }, null, false), null);
  assert.deepEqual(asked, ['x-claude-code-request-class']);
});
