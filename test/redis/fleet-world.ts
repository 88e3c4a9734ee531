/** Several gateways over one real Redis and one Storm. */
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { startStorm, type Storm, type StormOptions } from '../../src/storm/index.ts';
import { chatBody, startGateway, type TestGateway } from '../e2e/harness.ts';

export interface FleetMember extends TestGateway {
  readonly store: Store;
  /** Sends a chat request. */
  ask(body?: Record<string, unknown>, headers?: Record<string, string>): Promise<{ status: number; text: string; ms: number }>;
}

export interface FleetOptions {
  readonly url: string;
  readonly storm?: StormOptions;
  readonly provider?: Partial<NonNullable<ConfigInput['providers']>[string]>;
  readonly config?: Omit<ConfigInput, 'providers' | 'models'>;
}

export interface TestFleet {
  readonly storm: Storm;
  join(): Promise<FleetMember>;
}

export async function startFleet(t: TestContext, { url, storm: options, provider, config }: FleetOptions): Promise<TestFleet> {
  const storm = await startStorm({ name: 'p', ...options });
  t.after(() => storm.close());
  return {
    storm,
    async join() {
      const store = await openStore(url, { clock: systemClock, onWarning: () => {} });
      const providers = { p: { protocol: 'openai' as const, baseUrl: storm.url, apiKey: 'sk-test', ...provider } };
      const gateway = await startGateway({ ...config, providers, models: { fast: ['p/m'] } }, { store });
      t.after(() => gateway.close());
      return {
        ...gateway,
        store,
        async ask(body = {}, headers = {}) {
          const startedAt = performance.now();
          const response = await gateway.chat(chatBody(body), headers);
          return { status: response.status, text: await response.text(), ms: performance.now() - startedAt };
        },
      };
    },
  };
}
