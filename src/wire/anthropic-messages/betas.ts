/**
 * A beta of the Messages API is a token in the `anthropic-beta` header plus members of the body. The API refuses one without the other, so
 * a token is dropped once the last of its members is dropped.
 */

/** Members per token prefix. Betas without members are not listed. */
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

/** The header value without tokens whose members were dropped, possibly empty. `isSent`: whether the body that is sent has the member. */
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
