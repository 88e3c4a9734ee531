/**
 * The headers by which agents identify the conversation of a request. A conversation stays with one credential, so that the provider's prompt
 * cache is used. The first header present counts, and takes precedence over the body's `prompt_cache_key`.
 *
 * `user` and `safety_identifier` are not included: they name a person, who may have many conversations, and an application that sends one
 * name for all its users would put its whole load on one credential.
 */
export const SESSION_HEADERS = [
  'x-claude-code-session-id', // Claude Code
  'session_id', // Codex CLI
  'session-id', // Codex CLI, later versions
  'thread-id', // Codex CLI, of one agent of a session
  'conversation_id', // Codex CLI, earlier versions
  'x-session-affinity', // OpenCode; Fireworks' own header for the same purpose
  'x-opencode-session', // OpenCode
  'x-opencode-session-id', // OpenCode, later versions
  'x-grok-conv-id', // xAI's own
  'x-multi-turn-session-id', // Fireworks
  'x-conversation-id',
  'x-session-id', // OpenRouter's own, and what many tools send
  'x-openwebui-chat-id', // Open WebUI, where it forwards user headers
  'x-litellm-session-id', // clients of the LiteLLM proxy
  'helicone-session-id', // clients of Helicone
] as const;

/** In characters; the rest of a longer key is ignored. */
const KEY_LENGTH_MAX = 256;

interface HasHeaders {
  header(name: string): string | undefined;
}

/** The key that identifies a request's conversation; null: unknown. */
export function sessionKeyOf(request: HasHeaders, cacheKey: string | null): string | null {
  for (const name of SESSION_HEADERS) {
    const value = request.header(name);
    if (value !== undefined && value !== '') return value.slice(0, KEY_LENGTH_MAX);
  }
  return cacheKey === null ? null : cacheKey.slice(0, KEY_LENGTH_MAX);
}
