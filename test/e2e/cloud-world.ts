/** A gateway in front of Storms that are addressed as clouds, over real sockets. */
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startStorm } from '../../src/storm/index.ts';
import type { Storm, StormOptions } from '../../src/storm/index.ts';
import { startGateway } from './harness.ts';
import type { TestGateway, TestGatewayOptions } from './harness.ts';

type ProviderInput = NonNullable<ConfigInput['providers']>[string];

export interface CloudWorld extends TestGateway {
  readonly storms: Readonly<Record<string, Storm>>;
  /** Calls that each Storm has had, in their order. */
  calls(): number[];
}

export interface CloudWorldOptions extends TestGatewayOptions {
  readonly storms: Readonly<Record<string, StormOptions>>;
  /** By the Storm's name; the origin of the Storm is its base URL. */
  readonly providers: Readonly<Record<string, ProviderInput>>;
  readonly models: ConfigInput['models'];
  readonly config?: Omit<ConfigInput, 'providers' | 'models'>;
}

export async function startCloudWorld(t: TestContext, options: CloudWorldOptions): Promise<CloudWorld> {
  const names = Object.keys(options.storms);
  const started = await Promise.all(names.map((name) => startStorm({ name, ...options.storms[name] })));
  t.after(() => Promise.all(started.map((storm) => storm.close())));
  const providers = Object.fromEntries(
    names.map((name, i) => [name, { baseUrl: `http://127.0.0.1:${started[i]!.port}`, ...options.providers[name] }]),
  );
  const gateway = await startGateway({ ...options.config, providers, models: options.models }, options);
  t.after(() => gateway.close());
  const storms = Object.fromEntries(names.map((name, i) => [name, started[i]!]));
  return { ...gateway, storms, calls: () => started.map((storm) => storm.stats().calls) };
}
