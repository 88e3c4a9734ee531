/** A gateway in a process of its own, a provider in this one, and callers that send and take raw bytes. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request as httpRequest, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { LoopFigures } from './loop-process.ts';

export interface ProviderAnswer {
  readonly status?: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body: Uint8Array;
}

export interface Taken {
  readonly status: number;
  readonly bytes: number;
  /** The beginning of the answer. */
  readonly text: string;
}

export interface LoopWorld {
  readonly url: string;
  /** Null: it runs. */
  readonly exitCode: number | string | null;
  /** Since it was last asked. */
  figures(): Promise<LoopFigures>;
  send(path: string, body: Uint8Array, headers?: OutgoingHttpHeaders): Promise<Taken>;
  /** Bytes of each body that the provider got. */
  readonly received: number[];
}

export const okAnswer = Buffer.from(
  JSON.stringify({
    id: 'x',
    object: 'chat.completion',
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  }),
);

/** `heapMb`: of the gateway. `answer`: by the body that came, as far as its first kilobyte. */
export async function startLoopWorld(
  t: { after(close: () => void): void },
  options: { readonly heapMb: number; readonly config?: ConfigInput; readonly answer?: (head: string) => ProviderAnswer },
): Promise<LoopWorld> {
  const received: number[] = [];
  const provider = createServer((request, response) => {
    let bytes = 0;
    let head = '';
    request.on('data', (chunk: Buffer) => {
      if (head.length < 1024) head += chunk.toString('latin1', 0, 1024);
      bytes += chunk.length;
    });
    request.on('end', () => {
      received.push(bytes);
      const answer: ProviderAnswer = options.answer?.(head) ?? { body: okAnswer };
      response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers });
      response.end(answer.body);
    });
  });
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const baseUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`;
  const config: ConfigInput = {
    providers: { a: { protocol: 'openai', baseUrl, apiKey: 'sk-of-a-provider' } },
    models: { fast: ['a/m'] },
    ...options.config,
  };
  const child: ChildProcess = fork(new URL('loop-process.ts', import.meta.url), [JSON.stringify(config)], {
    execArgv: [`--max-old-space-size=${options.heapMb}`],
  });
  let exitCode: number | string | null = null;
  child.on('exit', (code, signal) => (exitCode = signal ?? code));
  const [url] = (await once(child, 'message')) as [string];
  t.after(() => {
    child.kill();
    provider.closeAllConnections();
    provider.close();
  });

  const world: LoopWorld = {
    url,
    received,
    get exitCode() {
      return exitCode;
    },
    async figures() {
      child.send('figures');
      const [figures] = (await once(child, 'message')) as [LoopFigures];
      return figures;
    },
    send: (path, body, headers = {}) => exchange(url, path, body, headers),
  };
  // What is compiled once is not measured.
  const small = Buffer.from('{"model":"fast","messages":[]}');
  for (let i = 0; i < 20; i++) await world.send('/v1/chat/completions', small);
  received.length = 0;
  await world.figures();
  return world;
}

/** As much as one turn of the loop may take; on a busy machine processor time counts more than it should. */
export const BUSY_MS_MAX = 50;

function exchange(url: string, path: string, body: Uint8Array, headers: OutgoingHttpHeaders): Promise<Taken> {
  const own = { 'content-type': 'application/json', 'content-length': body.length, ...headers };
  return new Promise((resolve, reject) => {
    const sent = httpRequest(new URL(path, url), { method: 'POST', headers: own }, (response) => {
      let [bytes, text] = [0, ''];
      const done = (): void => resolve({ status: response.statusCode!, bytes, text });
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (text.length < 1000) text += chunk.toString('utf8', 0, 1000);
      });
      response.on('end', done);
      response.on('error', done);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
