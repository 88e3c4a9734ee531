/** What to use instead of paths that Breakwater does not have: LiteLLM's keys, teams, spend and model management, and what providers store. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /^\/(?:key|user|team|organization|customer|end_user|invitation|budget|sso|access_group)\//,
    'clients, their keys, models, limits and budgets are in the config, under clients; see docs/migrating.md',
  ],
  [/^\/(?:spend|global)\//, 'usage and cost are at GET /admin/usage'],
  [/^\/(?:model|model_group)\//, 'models are listed by GET /v1/models, and configured under models'],
  [/^\/utils\/token_counter$/, 'tokens are counted by POST /v1/messages/count_tokens'],
  [/^\/(?:health|cache)\//, 'the health of each target is at GET /admin/targets'],
  [/^\/(?:ui|config|routes)(?:\/|$)/, 'the dashboard is at /, the effective config at GET /admin/config'],
  [
    /^\/(?:threads|assistants|vector_stores|fine_tuning|uploads|conversations|containers|evals|videos)(?:\/|$)/,
    'what a provider stores can be forwarded to that provider with server.passThrough',
  ],
];

/** For the error about an unknown path. */
export function hintFor(path: string): string {
  const bare = path.replace(/^\/v[12]\//, '/');
  const hint = HINTS.find(([form]) => form.test(bare))?.[1];
  return hint === undefined ? '' : `: ${hint}`;
}
