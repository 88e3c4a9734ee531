/** The dialects that callers and providers of a simulation can use. */
export const SIMULATED_DIALECTS = ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini'] as const;
export type SimulatedDialectName = (typeof SIMULATED_DIALECTS)[number];
