/** Sends one small request to each configured target, through a gateway in this process. */
import { EventBus } from '../../core/events.ts';
import type { Config } from '../../gateway/config/index.ts';
import { createGateway } from '../../gateway/create-gateway.ts';
import { systemClock } from '../../gateway/system-clock.ts';
import { systemRandom } from '../../gateway/system-random.ts';
import { createApp } from '../../server/app.ts';
import { createFetch } from '../../server/fetch.ts';
import { openStore } from '../../store/open-store.ts';
import type { Transport } from '../../transport/transport.ts';
import { errorMessageIn } from '../error-message.ts';
import { limitsIn, type Works } from './provider-check.ts';

export interface TargetCall {
  readonly target: string;
  readonly works: Works;
  readonly status: number | null;
  readonly latencyMs: number | null;
  readonly limits: readonly string[];
  /** Empty if it works. */
  readonly cure: string;
}

/** Models of other endpoints than chat and embeddings. */
const OTHER = /whisper|tts|dall-e|image|imagen|rerank|moderation|transcribe|sora|veo/i;
const EMBEDDINGS = /embed/i;

export async function callTargets(
  config: Config,
  targets: readonly string[],
  transport: Transport,
  timeoutMs: number,
): Promise<TargetCall[]> {
  const store = await openStore('memory:', { clock: systemClock, onWarning: () => {} });
  const events = new EventBus(() => {});
  let failure: { readonly status: number | null; readonly message: string | null } | null = null;
  events.on('attempt_end', ({ status, message }) => (failure = { status, message }));
  let limits: readonly string[] = [];
  const recording: Transport = {
    send: (request, listener) =>
      transport.send(request, {
        onSent: () => listener.onSent(),
        onHeaders(status, headers) {
          limits = limitsIn({ headers }, systemClock);
          listener.onHeaders(status, headers);
        },
        onData: (chunk) => listener.onData(chunk),
        onEnd: () => listener.onEnd(),
        onError: (error, isStale) => listener.onError(error, isStale),
      }),
    close: () => Promise.resolve(),
  };
  const gateway = await createGateway({
    config: forCalls(config, timeoutMs),
    clock: systemClock,
    random: systemRandom,
    store,
    events,
    transport: recording,
    env: process.env,
  });
  const fetch = createFetch(createApp({ gateway, random: systemRandom }));
  const call = async (target: string): Promise<TargetCall> => {
    [failure, limits] = [null, []];
    if (OTHER.test(target) || target.includes('*'))
      return { target, works: 'unknown', status: null, latencyMs: null, limits, cure: 'not called: only chat and embeddings are' };
    const startedAt = systemClock.now();
    const { path, body } = requestFor(target);
    const response = await fetch(`http://gateway${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const text = await response.text();
    const latencyMs = Math.round(systemClock.now() - startedAt);
    const seen = failure as { readonly status: number | null; readonly message: string | null } | null;
    // An empty response to an output limit of one token still shows that the target works.
    const works = response.ok || seen?.status === 200 || isSpentOnReasoning(seen);
    const status = seen?.status ?? null;
    const cure = works ? '' : cureOf(target, seen?.message ?? errorMessageIn(text) ?? 'no response', status);
    return { target, works: works ? 'yes' : 'no', status, latencyMs, limits, cure };
  };
  try {
    const calls: TargetCall[] = [];
    for (const target of targets) calls.push(await call(target));
    return calls;
  } finally {
    await gateway.close();
  }
}

/**
 * OpenAI refuses a request whose output limit is spent on reasoning, after the model has run. The error has no code. No limit is certain
 * to be high enough, and not every reasoning model has an effort that disables reasoning.
 */
function isSpentOnReasoning(seen: { readonly status: number | null; readonly message: string | null } | null): boolean {
  return seen?.status === 400 && /max_\w*tokens or model output limit was reached/i.test(seen.message ?? '');
}

function requestFor(target: string): { path: string; body: string } {
  if (EMBEDDINGS.test(target)) return { path: '/v1/embeddings', body: JSON.stringify({ model: target, input: 'hi' }) };
  return {
    path: '/v1/chat/completions',
    body: JSON.stringify({ model: target, messages: [{ role: 'user', content: 'hi' }], max_tokens: 1 }),
  };
}

/** Without clients, cache, retries or breakers: one call per target. */
function forCalls(config: Config, timeoutMs: number): Config {
  const cache = { ...config.policy.cache, enabled: false };
  return { ...config, clients: [], models: {}, policy: { ...config.policy, cache, maxAttempts: 1, deadline: timeoutMs } };
}

function cureOf(target: string, message: string, status: number | null): string {
  const provider = target.slice(0, target.indexOf('/'));
  const advice =
    status === 401 || status === 403
      ? `correct the credential of providers.${provider}, or give it access to the model`
      : status === 404
        ? `correct the name of the model, or providers.${provider}.baseUrl`
        : status === 429
          ? 'check the quota and the balance'
          : status === 400
            ? 'the model may not be for chat'
            : `check providers.${provider}`;
  return `${message}: ${advice}`;
}
