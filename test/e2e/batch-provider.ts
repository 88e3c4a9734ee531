/** A provider for batches: it tells requests apart by their prompt, and counts each. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface BatchProvider {
  readonly url: string;
  /** Calls by prompt. */
  readonly calls: Map<string, number>;
  readonly running: () => number;
  readonly maxRunning: () => number;
}

/** What it does with a prompt: a status, how long it takes, other members of the response, or `hang`. */
export type Behaviour = (
  prompt: string,
  call: number,
) => { status?: number; ms?: number; text?: string; more?: object; hang?: boolean } | undefined;

export async function startBatchProvider(t: TestContext, behave: Behaviour = () => undefined): Promise<BatchProvider> {
  const calls = new Map<string, number>();
  const state = { running: 0, max: 0 };
  const server = createServer((request, response) => void answer(request, response));
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (request.method === 'GET') return void response.end(JSON.stringify({ object: 'list', data: [] }));
    const body = JSON.parse(Buffer.concat(pieces).toString()) as {
      model: string;
      input?: unknown;
      messages?: { content: string }[];
      prompt?: string;
    };
    const prompt = body.messages?.[0]?.content ?? body.prompt ?? JSON.stringify(body.input);
    const call = (calls.get(prompt) ?? 0) + 1;
    calls.set(prompt, call);
    state.max = Math.max(state.max, ++state.running);
    response.on('close', () => state.running--);
    const { status = 200, ms = 0, text = `Answer to ${prompt}.`, more = {}, hang = false } = behave(prompt, call) ?? {};
    if (hang) return;
    const send = (): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(
          status === 200
            ? { ...completion(body, text), ...more }
            : { error: { message: `status ${status}`, type: 'x', code: `c${status}` } },
          null,
          1,
        ),
      );
    };
    if (ms === 0) send();
    else setTimeout(send, ms);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, calls, running: () => state.running, maxRunning: () => state.max };
}

function completion(body: { model: string; input?: unknown; messages?: unknown }, text: string): object {
  const usage = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 };
  if (body.input !== undefined) {
    const inputs = Array.isArray(body.input) ? body.input : [body.input];
    return {
      object: 'list',
      model: body.model,
      data: inputs.map((_, index) => ({ object: 'embedding', index, embedding: [0.1, 0.2] })),
      usage,
    };
  }
  const common = { id: 'x', created: 1, model: body.model, usage };
  if (body.messages === undefined)
    return { ...common, object: 'text_completion', choices: [{ index: 0, text, finish_reason: 'stop', logprobs: null }] };
  return {
    ...common,
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  };
}

/** A line of a batch of chat completions. */
export function chatLine(id: string, prompt: string = id, body: object = {}): string {
  const request = { model: 'fast', messages: [{ role: 'user', content: prompt }], ...body };
  return JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body: request });
}

export interface ResultLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: { choices?: { message: { content: string } }[] };
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly breakwater?: { readonly repeated?: number; readonly quality?: string };
}

export function readLines(text: string): ResultLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ResultLine);
}
