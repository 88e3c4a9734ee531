/** The body of an error as Anthropic's API sends it: `{"type":"error","error":{…},"request_id":"…"}`. */
export function encodeAnthropicError(type: string, message: string, requestId: string): string {
  return JSON.stringify({ type: 'error', error: { type, message }, request_id: requestId });
}
