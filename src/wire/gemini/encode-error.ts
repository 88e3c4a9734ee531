/** Google's own words for the statuses that we send (google.rpc.Code). */
const statusWords: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** The body of an error as Gemini sends it: `{"error":{"code":404,"message":"…","status":"NOT_FOUND"}}`. */
export function encodeGeminiError(status: number, message: string): string {
  const word = statusWords[status] ?? (status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL');
  return JSON.stringify({ error: { code: status, message, status: word } });
}
