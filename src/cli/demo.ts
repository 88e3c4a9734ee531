/** The demo: two simulated providers in this process, with faults, behind one model. */
import { parseConfig, type Config } from '../gateway/config/index.ts';
import { startStorm, type Storm } from '../storm/index.ts';

export interface Demo {
  /** The given config with the simulated providers in place of its own. */
  readonly config: Config;
  close(): Promise<void>;
}

/** Starts the providers on free ports. The settings of server, clients and telemetry are kept. */
export async function startDemo(base: Config): Promise<Demo> {
  const shaky = await startStorm({
    name: 'demo-shaky',
    models: ['shaky'],
    limits: { requestsPerMinute: 60, concurrency: 8 },
    timing: { firstTokenMs: { p50: 200, p99: 1500 }, tokensPerSecond: 80, jitter: 0.2 },
    faults: [
      { kind: '503', calls: { every: 2 } },
      { kind: '429-retry', probability: 0.15, retryAfter: 1 },
      { kind: 'cut', probability: 0.05 },
    ],
  });
  const slow = await startStorm({
    name: 'demo-slow',
    models: ['slow'],
    timing: { firstTokenMs: { p50: 600, p99: 2500 }, tokensPerSecond: 40, jitter: 0.2 },
    faults: [{ kind: '500', probability: 0.05 }],
  });
  return { config: demoConfig(base, shaky, slow), close: async () => void (await Promise.all([shaky.close(), slow.close()])) };
}

function demoConfig(base: Config, shaky: Storm, slow: Storm): Config {
  const result = parseConfig(
    {
      providers: {
        'demo-shaky': { protocol: 'openai', baseUrl: shaky.url, apiKey: 'demo' },
        'demo-slow': { protocol: 'openai', baseUrl: slow.url, apiKey: 'demo' },
      },
      models: { demo: ['demo-shaky/shaky', 'demo-slow/slow'] },
    },
    { source: 'library' },
  );
  if (!result.ok) throw new Error(result.faults.map((fault) => fault.message).join('\n'));
  const { providers, models, store } = result.config;
  return { ...base, providers, models, store };
}

/** The notice printed to stderr. */
export function demoNotice(url: string, needsKey: boolean): string {
  const key = needsKey ? ` -H 'authorization: Bearer YOUR_KEY'` : '';
  return [
    'DEMO: no provider is configured, so two simulated ones with faults are used. Responses are not real;',
    'each carries x-breakwater-simulated: true. Try:',
    '',
    `  curl ${urlForCurl(url)}/v1/chat/completions -H 'content-type: application/json'${key} -d '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}'`,
    '',
    ...(url.startsWith('unix:') ? [] : [`and watch it on the dashboard: ${url}/`]),
    '',
    '',
  ].join('\n');
}

function urlForCurl(url: string): string {
  return url.startsWith('unix:') ? `--unix-socket ${url.slice('unix:'.length)} http://localhost` : url;
}
