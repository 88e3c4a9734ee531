/** The role of a request within an agent's run, if the agent states it: main loop, sub-agent, side task. */
import type { ClientProgram } from './clients.ts';

export const AGENT_ROLES = ['main', 'compaction', 'subagent', 'workflow', 'auxiliary'] as const;
export type AgentRole = (typeof AGENT_ROLES)[number];

interface HasHeaders {
  header(name: string): string | undefined;
}

/** Claude Code sends both, with CLAUDE_CODE_GATEWAY_HINT_HEADERS=1. */
const CLASS_HEADERS = ['x-claude-code-request-class', 'x-claude-1p-request-class'] as const;

/** Sent by agents that another agent started. */
const CHILD_HEADERS = [
  'x-claude-code-agent-id',
  'x-claude-code-parent-agent-id',
  'x-codex-parent-thread-id',
  'x-parent-session-id',
] as const;

const CODEX_KIND = 'x-openai-subagent';
const CODEX_TURN = 'x-codex-turn-metadata';
/** In characters; longer metadata is ignored. */
const METADATA_LENGTH_MAX = 8 * 1024;

/** True for requests that do not block the main loop of their session. */
export function isSideRole(role: AgentRole): boolean {
  return role !== 'main' && role !== 'compaction';
}

const ROLES: ReadonlySet<string> = new Set(AGENT_ROLES);

/**
 * Null: the request does not say. Without a session only the first header is checked. The role is the caller's claim: it may lower a
 * priority, but never raise it above the client's limit.
 */
export function agentRoleOf(request: HasHeaders, program: ClientProgram | null, hasSession: boolean): AgentRole | null {
  const given = request.header(CLASS_HEADERS[0]) ?? (hasSession ? request.header(CLASS_HEADERS[1]) : undefined);
  if (given !== undefined && ROLES.has(given)) return given as AgentRole;
  // For example blocking-subagent.
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
  // An agent's name is its path; the main agent's path has one segment.
  if (source === 'subagent' || (typeof name === 'string' && name.lastIndexOf('/') > 0)) return 'subagent';
  return kind === 'turn' ? 'main' : null;
}
