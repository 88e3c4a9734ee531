/** Prefix of ids made for calls that came without one; such calls and their results are matched by name and position. */
export const POSITIONAL_ID_PREFIX = 'gemini_call_';
