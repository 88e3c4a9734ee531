/** A server that gives access tokens, as those of Google and Microsoft do: `token-1`, `token-2`, and so on. */
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface TokenCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

export interface TokenServer {
  readonly origin: string;
  readonly calls: TokenCall[];
  /** What it answers; null: nothing at all. Default: a token for an hour. */
  answer: (number: number) => { readonly status: number; readonly body: object } | null;
}

export const tokenOf = (number: number): string => `access-token-number-${number}`;

export async function startTokenServer(t: TestContext): Promise<TokenServer> {
  const calls: TokenCall[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      calls.push({ method: request.method!, path: request.url!, headers: request.headers, form: new URLSearchParams(body) });
      const answer = tokens.answer(calls.length);
      if (answer === null) return;
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const tokens: TokenServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    answer: (number) => ({ status: 200, body: { access_token: tokenOf(number), expires_in: 3600, token_type: 'Bearer' } }),
  };
  return tokens;
}
