/** How long a file may be kept after its creation, in seconds, as OpenAI has it. */
const [EXPIRY_MIN_S, EXPIRY_MAX_S] = [3_600, 2_592_000];

/** As it stands in a message. */
export const EXPIRY_RULE = `{ anchor: "created_at", seconds: ${EXPIRY_MIN_S} to ${EXPIRY_MAX_S} }`;

/** Null: it is none. */
export function expirySeconds(anchor: unknown, seconds: unknown): number | null {
  const isFine = typeof seconds === 'number' && Number.isInteger(seconds) && seconds >= EXPIRY_MIN_S && seconds <= EXPIRY_MAX_S;
  return anchor === 'created_at' && isFine ? seconds : null;
}
