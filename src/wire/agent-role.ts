/** Which part of an agent's run a request is, where the agent says so: its main loop, a sub-agent, a side task. */
import type { ClientProgram } from './clients.ts';

export const AGENT_ROLES = ['main', 'compaction', 'subagent', 'workflow', 'auxiliary'] as const;
export type AgentRole = (typeof AGENT_ROLES)[number];

interface HasHeaders {
  header(name: string): string | undefined;
}

/** Claude Code sends both, with CLAUDE_CODE_GATEWAY_HINT_HEADERS=1. */
const CLASS_HEADERS = ['x-claude-code-request-class', 'x-claude-1p-request-class'] as const;

/** Where one of these is present, another agent has started this one. */
const CHILD_HEADERS = [
  'x-claude-code-agent-id',
  'x-claude-code-parent-agent-id',
  'x-codex-parent-thread-id',
  'x-parent-session-id',
] as const;

const CODEX_KIND = 'x-openai-subagent';
const CODEX_TURN = 'x-codex-turn-metadata';
/** Longer metadata is not read, in characters. */
const METADATA_LENGTH_MAX = 8 * 1024;

/** What does not hold up the main loop of its session. */
export function isSideRole(role: AgentRole): boolean {
  return role !== 'main' && role !== 'compaction';
}

const ROLES: ReadonlySet<string> = new Set(AGENT_ROLES);

/**
 * Null: the request does not say. A caller without a session is no agent, so that only the first header is looked up for it. The role
 * is a claim of the caller: it may lower a priority, and never raise it above what the client may have.
 */
export function agentRoleOf(request: HasHeaders, program: ClientProgram | null, hasSession: boolean): AgentRole | null {
  const given = request.header(CLASS_HEADERS[0]) ?? (hasSession ? request.header(CLASS_HEADERS[1]) : undefined);
  if (given !== undefined && ROLES.has(given)) return given as AgentRole;
  // Such as blocking-subagent.
  if (given?.endsWith('-subagent') === true) return 'subagent';
  if (!hasSession) return null;
  const kind = request.header(CODEX_KIND);
  if (kind !== undefined && kind !== '') return kind === 'compact' ? 'compaction' : 'subagent';
  for (const name of CHILD_HEADERS) if (request.header(name) !== undefined) return 'subagent';
  return program === 'codex' ? roleOfTurn(request.header(CODEX_TURN)) : null;
}

function roleOfTurn(metadata: string | undefined): AgentRole | null {
  if (metadata === undefined || metadata.length > METADATA_LENGTH_MAX) return null;
  let turn: unknown;
  try {
    turn = JSON.parse(metadata);
  } catch {
    return null;
  }
  if (typeof turn !== 'object' || turn === null) return null;
  const { request_kind: kind, thread_source: source, agent_name: name } = turn as Record<string, unknown>;
  if (typeof kind === 'string' && kind.startsWith('compact')) return 'compaction';
  // Agents are named by their path; that of the main one has one part.
  if (source === 'subagent' || (typeof name === 'string' && name.lastIndexOf('/') > 0)) return 'subagent';
  return kind === 'turn' ? 'main' : null;
}
