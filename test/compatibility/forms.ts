/** One client before one target: every form of call, and failover to a target of another dialect in each phase, over real sockets. */
import assert from 'node:assert/strict';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startStorm } from '../../src/storm/index.ts';
import type { Storm, StormFault } from '../../src/storm/index.ts';
import { startGateway } from '../e2e/harness.ts';

export const TARGETS = ['chat', 'responses', 'messages', 'gemini'] as const;
export type Target = (typeof TARGETS)[number];

export interface Question {
  /** Origin of the gateway. */
  readonly base: string;
  readonly stream: boolean;
  readonly prompt: string;
  /** Offers the tool `tide` with one text `at`, runs it, and sends `TOOL_RESULT` back. */
  readonly tool: boolean;
}

export interface Answer {
  /** Of the last response. */
  readonly text: string;
  /** Arguments of the tool's call; null: it was not called. */
  readonly call: unknown;
}

export interface Client {
  readonly name: string;
  readonly version: string;
  ask(question: Question): Promise<Answer>;
}

export const TOOL_RESULT = 'high water at noon';
const TEXT = 'größer 港口 🌊 calm.';
const CALL = { at: 'Skagen' };

interface Form {
  readonly name: string;
  readonly stream: boolean;
  readonly tool: boolean;
  /** At the first target; null: it is well, and alone. */
  readonly fault: StormFault | null;
}

/** Of the target that falls silent. */
const IMPATIENT = { policy: { timeouts: { headers: '300ms', firstContent: '300ms' } } };

const plainForms: readonly Form[] = [
  { name: 'plain', stream: false, tool: false, fault: null },
  { name: 'tools', stream: false, tool: true, fault: null },
  { name: '503', stream: false, tool: false, fault: { kind: '503' } },
  { name: 'cut', stream: false, tool: false, fault: { kind: 'cut' } },
  { name: 'stall', stream: false, tool: false, fault: { kind: 'silence' } },
];
const streamedForms: readonly Form[] = [
  { name: 'stream', stream: true, tool: false, fault: null },
  { name: 'streamed tools', stream: true, tool: true, fault: null },
  { name: 'streamed 503', stream: true, tool: false, fault: { kind: '503' } },
  { name: 'streamed cut', stream: true, tool: false, fault: { kind: 'cut', afterTokens: 0 } },
  { name: 'streamed stall', stream: true, tool: false, fault: { kind: 'silence-content' } },
];
const FORMS: readonly Form[] = [...plainForms, ...streamedForms];

interface Place {
  readonly provider: string;
  readonly protocol: 'openai' | 'anthropic' | 'gemini';
  readonly model: string;
  /** The target that takes over. */
  readonly next: Target;
}

const PLACES: Readonly<Record<Target, Place>> = {
  chat: { provider: 'a', protocol: 'openai', model: 'gpt-4o', next: 'messages' },
  // A model that OpenAI serves by no other API.
  responses: { provider: 'openai', protocol: 'openai', model: 'gpt-5-pro', next: 'gemini' },
  messages: { provider: 'a', protocol: 'anthropic', model: 'claude-sonnet-4-5', next: 'chat' },
  gemini: { provider: 'a', protocol: 'gemini', model: 'gemini-2.5-pro', next: 'chat' },
};

/** What works and what does not: the names of the forms that fail, with the reason. */
export async function tryForms(client: Client, target: Target): Promise<Map<string, string>> {
  const failed = new Map<string, string>();
  for (const form of FORMS) {
    try {
      await tryForm(client, target, form);
    } catch (error) {
      failed.set(form.name, error instanceof Error ? error.message : String(error));
    }
  }
  return failed;
}

async function tryForm(client: Client, target: Target, { stream, tool, fault }: Form): Promise<void> {
  await using closing = new AsyncDisposableStack();
  const first = await startTarget(closing, target, fault);
  const { next } = PLACES[target];
  const targets = fault === null ? [first] : [first, await startTarget(closing, next, null)];
  const gateway = await startGateway({
    providers: Object.fromEntries(
      targets.map(({ url, place }, i) => [
        i === 0 ? place.provider : 'b',
        { protocol: place.protocol, baseUrl: url, apiKey: 'sk-test', ...(i === 0 && fault !== null && IMPATIENT) },
      ]),
    ),
    models: { fast: targets.map(({ place }, i) => `${i === 0 ? place.provider : 'b'}/${place.model}`) },
  });
  closing.defer(() => gateway.close());
  const prompt = tool ? `The tide?\ncall tide ${JSON.stringify(CALL)}` : `echo ${TEXT}`;
  const { text, call } = await client.ask({ base: gateway.url, stream, prompt, tool });
  const { storm } = targets.at(-1)!;
  if (tool) {
    assert.deepEqual(call, CALL);
    assert.ok(text.length > 0, 'no text after the result of the tool');
    const answered = gateway.eventsOf('finished').map(({ outcome }) => outcome);
    assert.deepEqual(answered, ['success', 'success']);
    assert.ok(String(storm.stats().log.at(-1)?.body).includes(TOOL_RESULT), 'the result of the tool did not reach the target');
  } else {
    assert.equal(text, TEXT);
    if (fault !== null) assert.equal(storm.stats().log.filter(({ status }) => status === 200).length, 1, 'the second target answered once');
  }
}

interface Started {
  readonly storm: Storm;
  readonly url: string;
  readonly place: Place;
}

async function startTarget(closing: AsyncDisposableStack, target: Target, fault: StormFault | null): Promise<Started> {
  const storm = await startStorm({ keepBodies: 4, faults: fault === null ? [] : [fault] });
  closing.defer(() => storm.close());
  const place = PLACES[target];
  if (target !== 'chat') return { storm, url: storm.url, place };
  return { storm, url: await withoutResponses(closing, storm.url), place };
}

/** A server of chat alone, as most are: in front of a Storm, which serves the Responses API too. */
async function withoutResponses(closing: AsyncDisposableStack, url: string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url!.endsWith('/responses')) {
      request.resume();
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"detail":"Not Found"}');
      return;
    }
    const { method, headers, url: path } = request;
    const passed = httpRequest(new URL(path!, url), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}
