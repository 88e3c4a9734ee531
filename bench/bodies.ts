/** What the load sends. `stream` stands first, so that the upstream finds it without reading the whole body. */
const word = 'water ';

/** A chat completion request of about `size` bytes. */
export function chatBody(size: number, stream: boolean, prompt = ''): string {
  const request = (content: string): string =>
    JSON.stringify({ stream, model: 'bench', max_tokens: 256, temperature: 0.2, messages: [{ role: 'user', content }] });
  const missing = Math.max(0, size - request(prompt).length);
  return request(prompt + word.repeat(Math.ceil(missing / word.length)).slice(0, missing));
}

/** Prompts that ask the upstream for something else than a hundred events at once. */
export const prompts = {
  /** The first event, then silence until the caller leaves. */
  hold: 'bench:hold ',
  /** Fifty events, 10 ms apart, each with the nanosecond at which it was sent. */
  paced: 'bench:paced ',
};

/** The key that the one configured client of the gateway sends; every contender gets it. */
export const clientKey = 'sk-client-0123456789abcdef';
