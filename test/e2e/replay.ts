/** A gateway in virtual time whose provider sends given bytes in given pieces: thousands of cuts in seconds. */
import { Buffer } from 'node:buffer';
import type { TestContext } from 'node:test';
import OpenAI from 'openai';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/simulated-upstream.ts';
import { chatStream } from '../../src/testing/simulated-chat.ts';
import { chatBody } from './harness.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';

export interface Play {
  /** A millisecond lies between two of them. */
  readonly pieces: readonly (string | Uint8Array)[];
  /** Default: the provider closes in good order. */
  readonly end?: 'close' | 'reset';
}

/** What the caller got. */
export interface Got {
  readonly status: number;
  readonly bytes: Buffer;
  readonly text: string;
}

export interface ReplayWorld extends VirtualWorld {
  /** Plays each to a request of its own. */
  replayAll(plays: readonly Play[], body?: Record<string, unknown>): Promise<Got[]>;
  replay(play: Play, body?: Record<string, unknown>): Promise<Got>;
  /** What the official SDK yields, and the error that it ends with. */
  bySdk(play: Play, body?: Record<string, unknown>): Promise<{ chunks: unknown[]; error: unknown }>;
}

/** The word of the second provider, where there is one. */
export const SECOND = 'second';
const AT_ONCE = 200;

export async function startReplay(t: TestContext, options: { second?: boolean; maxEventSize?: string } = {}): Promise<ReplayWorld> {
  let plays: readonly Play[] = [];
  const first = (body: string): SimulatedResponse => ({ steps: stepsOf(plays[Number(/"user":"(\d+)"/.exec(body)?.[1])]!) });
  const second = options.second === true ? { b: () => chatStream({ words: [SECOND] }) } : {};
  // Hundreds of failures in a row are what is wanted here.
  const breaker = { failureRatio: 1, minRequests: 100_000, consecutiveFailures: 100_000 };
  const maxAttempts = options.second === true ? 2 : 1;
  const world = await startVirtualWorld(t, {
    providers: { a: (call) => first(call.body), ...second },
    config: { policy: { maxAttempts, breaker, stream: { maxEventSize: options.maxEventSize ?? '16mb' } } },
  });
  const openai = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', maxRetries: 0, fetch: world.fetch, logLevel: 'off' });

  const replayAll: ReplayWorld['replayAll'] = async (all, body = { stream: true }) => {
    const got: Got[] = [];
    for (let from = 0; from < all.length; from += AT_ONCE) {
      plays = all.slice(from, from + AT_ONCE);
      got.push(...(await world.until(Promise.all(plays.map((_, user) => postAndRead(world, { ...body, user: String(user) }))))));
      world.events.length = 0;
    }
    return got;
  };
  return {
    ...world,
    replayAll,
    replay: async (play, body) => (await replayAll([play], body))[0]!,
    bySdk(play, body = {}) {
      plays = [play];
      return world.until(readBySdk(openai, { ...chatBody({ ...body, user: '0' }), stream: true } as never));
    },
  };
}

function stepsOf(play: Play): SimulatedStep[] {
  const steps: SimulatedStep[] = [{ do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } }];
  for (const bytes of play.pieces) steps.push({ do: 'send', bytes }, { do: 'wait', ms: 1 });
  if (play.end === 'reset') steps.push({ do: 'break', code: 'ECONNRESET' });
  return steps;
}

async function postAndRead(world: VirtualWorld, body: Record<string, unknown>): Promise<Got> {
  const response = await world.fetch('http://breakwater/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(chatBody(body)),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, bytes, text: bytes.toString() };
}

/** All chunks of a stream, and the error that it ends with, if it does. */
export async function readBySdk(
  openai: OpenAI,
  body: OpenAI.Chat.ChatCompletionCreateParamsStreaming,
): Promise<{ chunks: unknown[]; error: unknown }> {
  const chunks: unknown[] = [];
  try {
    for await (const chunk of await openai.chat.completions.create(body)) chunks.push(chunk);
    return { chunks, error: null };
  } catch (error) {
    return { chunks, error };
  }
}
