/**
 * Betas of the Messages API have two halves: a token of the `anthropic-beta` header, and members of the body. One without the other is
 * refused, so a token goes with the last of its members.
 */

/** By the beginning of a token: its members. Betas without one are not listed. */
const MEMBERS: readonly (readonly [string, readonly string[]])[] = [
  ['context-management-', ['context_management']],
  ['compact-', ['compaction', 'context_management']],
  ['message-threads-', ['thread']],
  ['server-side-fallback-', ['fallbacks']],
  ['fallback-credit-', ['fallback_credit_token']],
  ['mcp-client-', ['mcp_servers']],
  ['structured-outputs-', ['output_format', 'output_config']],
  ['effort-', ['output_config']],
  ['task-budgets-', ['output_config']],
  ['thinking-binding-controls-', ['thinking']],
  ['interleaved-thinking-', ['thinking']],
  ['user-profiles-', ['user_profile_id']],
  ['cache-diagnosis-', ['diagnostics']],
  ['fast-mode-', ['speed']],
  ['skills-', ['container']],
];

/** The header's value without the tokens whose members were left out; `isSent`: members of the body that is sent. Empty: no token is left. */
export function betasFor(value: string, leftOut: readonly string[], isSent: (member: string) => boolean): string {
  const tokens = value.split(',');
  const kept = tokens.filter((token) => {
    const members = membersOf(token.trim());
    return !members.some((member) => leftOut.includes(member)) || members.some(isSent);
  });
  return kept.length === tokens.length ? value : kept.join(',').trim();
}

function membersOf(token: string): readonly string[] {
  return MEMBERS.find(([prefix]) => token.startsWith(prefix))?.[1] ?? [];
}
