/** The range of a file's lifetime from its creation, in seconds, as in OpenAI's API. */
const [EXPIRY_MIN_S, EXPIRY_MAX_S] = [3_600, 2_592_000];

/** For error messages. */
export const EXPIRY_RULE = `{ anchor: "created_at", seconds: ${EXPIRY_MIN_S} to ${EXPIRY_MAX_S} }`;

/** Null if it is invalid. */
export function expirySeconds(anchor: unknown, seconds: unknown): number | null {
  const isFine = typeof seconds === 'number' && Number.isInteger(seconds) && seconds >= EXPIRY_MIN_S && seconds <= EXPIRY_MAX_S;
  return anchor === 'created_at' && isFine ? seconds : null;
}
