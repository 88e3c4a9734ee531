/** A gateway whose providers respond with given bytes, in virtual time. */
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { SimulatedCall, SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { headStep } from './dialect-wires.ts';
import { requestOf } from './four-wires.ts';
import type { DialectWord } from './four-wires.ts';
import { startVirtualWorld } from './virtual.ts';

export interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Calls to the providers. */
  readonly calls: number;
  readonly outcome: string;
}

type Protocol = 'openai' | 'anthropic' | 'gemini';

/** `responses`: one for each provider. `lacksResponses`: they have no Responses API. */
export async function startScripted(
  t: TestContext,
  protocol: Protocol,
  responses: readonly string[],
  policy: NonNullable<ConfigInput['policy']> = {},
  lacksResponses = false,
  status = 200,
): Promise<(caller: DialectWord, stream: boolean, body?: Record<string, unknown>) => Promise<Seen>> {
  const names = responses.map((_, i) => `p${i}`);
  const world = await startVirtualWorld(t, {
    providers: Object.fromEntries(
      names.map((name, i) => {
        const isStream = !responses[i]!.startsWith('{');
        const bytes = responses[i]!;
        const script = ({ request }: SimulatedCall): SimulatedResponse =>
          lacksResponses && request.path.endsWith('/responses')
            ? { steps: [headStep(false, 404), { do: 'send', bytes: '{"detail":"Not Found"}' }] }
            : { steps: [headStep(isStream, status), { do: 'send', bytes }] };
        return [name, script];
      }),
    ),
    configured: Object.fromEntries(
      names.map((name) => [name, { protocol, baseUrl: `http://${name}${protocol === 'openai' ? '/v1' : ''}`, apiKey: 'k' }]),
    ),
    models: { fast: names.map((name) => `${name}/m`) },
    config: { policy },
  });
  return async (caller, stream, more = {}) => {
    const { path, body } = requestOf(caller, stream);
    const before = world.upstream.calls.length;
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify({ ...body, ...more }) };
    const response = await world.until(world.fetch(`http://breakwater${path}`, init));
    const text = await world.until(response.text());
    const finished = world.events.findLast((event) => event.type === 'finished');
    return {
      status: response.status,
      headers: response.headers,
      text,
      calls: world.upstream.calls.length - before,
      outcome: finished?.type === 'finished' ? finished.outcome : '',
    };
  };
}
