/** A good caller and a poison one beside each other, in virtual time: what the poison one sends fails at the provider, all else is answered. */
import type { TestContext } from 'node:test';
import { chatResponse, chatError, silence, streamEnd, streamStart } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualSeen, VirtualWorld } from './virtual.ts';

/** How the provider fails what is poison. */
export const POISON_KINDS = {
  '500': () => chatError(500),
  '503 with Retry-After': () => chatError(503, { code: 'server_is_overloaded' }, { 'retry-after': '30' }),
  '503 of a busy server': () => chatError(503, { message: 'loading the model' }),
  '429': () => chatError(429),
  '429 with Retry-After': () => chatError(429, {}, { 'retry-after': '30' }),
  reset: (): SimulatedResponse => ({ steps: [{ do: 'break', code: 'ECONNRESET' }] }),
  timeout: () => silence(),
  stall: (): SimulatedResponse => ({ steps: [...streamStart(), { do: 'wait', ms: Infinity }] }),
  cut: (): SimulatedResponse => ({ steps: [...streamStart(), { do: 'break', code: 'ECONNRESET' }] }),
} as const satisfies Record<string, () => SimulatedResponse>;
export type PoisonKind = keyof typeof POISON_KINDS;

/** How the gateway can tell who is who. */
export const IDENTITIES = ['clients', 'keys', 'sessions', 'bodies'] as const;
export type Identity = (typeof IDENTITIES)[number];

export interface PoisonOptions {
  readonly kind: PoisonKind;
  readonly by: Identity;
  /** Providers in turn. Default `a` alone. */
  readonly targets?: readonly string[];
  /** Where the poison fails. Default everywhere. */
  readonly failsAt?: readonly string[];
  readonly poisonPerSecond?: number;
  readonly goodPerSecond?: number;
  /** What the good caller waits for at most. Default 5 s. */
  readonly goodDeadlineMs?: number;
  readonly seconds?: number;
  /** How long an answer takes that is none of the poison's, in milliseconds. Default 300. */
  readonly answerMs?: number;
  /** When the good caller comes, in milliseconds. Default from the beginning. */
  readonly goodFromMs?: number;
  /** Until when the poison is poison, in milliseconds. Default for ever. */
  readonly poisonUntilMs?: number;
  /** From then on all calls fail, or are told to come back in 30 s, in milliseconds. Default never. */
  readonly deadFromMs?: number;
  readonly limitedFromMs?: number;
  readonly policy?: NonNullable<VirtualOptions['config']>['policy'];
}

export interface PoisonSeen {
  readonly world: VirtualWorld;
  readonly good: readonly VirtualSeen[];
  readonly poison: readonly VirtualSeen[];
  /** Share of the good caller's requests that were answered. */
  readonly served: number;
  /** The longest that one of them took, in milliseconds. */
  readonly slowestMs: number;
  readonly poisonCalls: number;
}

const CLIENTS = [
  { name: 'good', key: 'client-key-good' },
  { name: 'poison', key: 'client-key-poison' },
];

function headersOf(by: Identity, who: 'good' | 'poison', number: number): Record<string, string> {
  if (by === 'clients' || by === 'keys') return { authorization: `Bearer client-key-${who}` };
  if (by === 'sessions') return { 'x-session-id': who === 'poison' ? 'poison' : `good ${number % 7}` };
  return {};
}

export async function playPoison(t: TestContext, options: PoisonOptions): Promise<PoisonSeen> {
  const { kind, by, targets = ['a'], failsAt = targets, seconds = 120, answerMs = 300 } = options;
  const { poisonPerSecond = 5, goodPerSecond = 1, goodDeadlineMs = 5_000 } = options;
  const { deadFromMs = Infinity, limitedFromMs = Infinity, poisonUntilMs = Infinity, goodFromMs = 0 } = options;
  const stream = kind === 'stall' || kind === 'cut';
  const script =
    (name: string) =>
    (call: SimulatedCall): SimulatedResponse => {
      const isPoison = call.body.includes('poison') && failsAt.includes(name) && call.at < poisonUntilMs;
      if (call.at >= deadFromMs) return chatError(500);
      if (call.at >= limitedFromMs) return chatError(429, {}, { 'retry-after': '30' });
      if (isPoison) return POISON_KINDS[kind]();
      const answer = call.body.includes('"stream":true') ? { steps: [...streamStart(), ...streamEnd()] } : chatResponse();
      return { steps: [{ do: 'wait', ms: answerMs }, ...answer.steps] };
    };
  const world = await startVirtualWorld(t, {
    providers: Object.fromEntries(targets.map((name) => [name, script(name)])),
    config: {
      ...(by === 'clients' ? { clients: CLIENTS } : {}),
      policy: { timeouts: { headers: '2s', firstContent: '2s', idle: '2s' }, ...options.policy },
    },
  });
  const [good, poison]: [Promise<VirtualSeen>[], Promise<VirtualSeen>[]] = [[], []];
  const ask = (who: 'good' | 'poison', number: number, deadlineMs: number): Promise<VirtualSeen> => {
    const content = who === 'poison' && by === 'bodies' ? 'poison' : `${who} ${number}`;
    const body = { messages: [{ role: 'user', content }], ...(stream ? { stream: true } : {}) };
    return world.ask(body, { ...headersOf(by, who, number), 'x-breakwater-deadline-ms': String(deadlineMs) }).done;
  };
  const every = (who: 'good' | 'poison', perSecond: number, fromMs: number, into: Promise<VirtualSeen>[], deadlineMs: number): void => {
    for (let i = 0; fromMs + (i * 1000) / perSecond < seconds * 1000; i++) {
      world.clock.schedule(fromMs + (i * 1000) / perSecond, () => void into.push(ask(who, i, deadlineMs)));
    }
  };
  every('poison', poisonPerSecond, 0, poison, 20_000);
  every('good', goodPerSecond, goodFromMs, good, goodDeadlineMs);
  await world.clock.advanceAsync(seconds * 1000 + 60_000);
  const [goodSeen, poisonSeen] = [await Promise.all(good), await Promise.all(poison)];
  const served = goodSeen.filter((seen) => seen.status === 200 && !seen.text.includes('"error"'));
  return {
    world,
    good: goodSeen,
    poison: poisonSeen,
    served: served.length / goodSeen.length,
    slowestMs: Math.max(...served.map(({ endAtMs }) => endAtMs)),
    poisonCalls: world.upstream.calls.filter(({ body }) => body.includes('poison')).length,
  };
}
