/** HTTP to a gateway of one's own, for the library: undici's fetch without its timeouts, since calls of models take long. */
export interface GatewayClient {
  readonly fetch: typeof fetch;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 1_500;

export async function createGatewayClient(): Promise<GatewayClient> {
  const { Agent, fetch: send } = await import('undici');
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: CONNECT_TIMEOUT_MS } });
  const request = (input: string, init: object): Promise<unknown> => send(input, { ...init, dispatcher, redirect: 'manual' });
  return { fetch: request as unknown as typeof fetch, close: () => dispatcher.destroy() };
}
