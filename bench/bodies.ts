/** Request bodies of the load. `stream` comes first, so that the upstream finds it without reading the whole body. */
const word = 'water ';

/** A chat completion request of about `size` bytes. */
export function chatBody(size: number, stream: boolean, prompt = ''): string {
  const request = (content: string): string =>
    JSON.stringify({ stream, model: 'bench', max_tokens: 256, temperature: 0.2, messages: [{ role: 'user', content }] });
  const missing = Math.max(0, size - request(prompt).length);
  return request(prompt + word.repeat(Math.ceil(missing / word.length)).slice(0, missing));
}

/** Prompts that select another response than a hundred events at once. */
export const prompts = {
  /** The first event, then silence until the caller disconnects. */
  hold: 'bench:hold ',
  /** Fifty events, 10 ms apart, each with its send time in nanoseconds. */
  paced: 'bench:paced ',
};

/** The key of the gateway's only client; sent to every contender. */
export const clientKey = 'sk-client-0123456789abcdef';
