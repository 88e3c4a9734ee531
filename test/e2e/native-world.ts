/** A gateway whose provider has a batch API of its own: a Storm on a real socket, and a clock that runs ahead where a test wants it to. */
import type { TestContext } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { toFile, type OpenAI } from 'openai';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { startStorm } from '../../src/storm/index.ts';
import type { Storm, StormBatchOptions, StormOptions } from '../../src/storm/index.ts';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';
import { chatLine, readLines, type ResultLine } from './batch-provider.ts';
import { startGateway, type TestGateway } from './harness.ts';

const TICK_MS = 5;

export interface HurriedClock extends ManualClock {
  /** How many times faster than the world it goes, while no request runs. */
  speed: number;
  isBusy: () => boolean;
}

export function startClock(t: TestContext): HurriedClock {
  const clock = Object.assign(createManualClock({ epochMs: Date.now() }), { speed: 1, isBusy: () => false });
  let at = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    clock.advance((now - at) * (clock.isBusy() ? 1 : clock.speed));
    at = now;
  }, TICK_MS);
  t.after(() => clearInterval(timer));
  return clock;
}

export interface NativeWorld extends TestGateway {
  readonly storm: Storm;
  readonly clock: HurriedClock;
  readonly store: Store;
  readonly create: (count: number, more?: { window?: string; prompt?: (n: number) => string; body?: object }) => Promise<OpenAI.Batch>;
  /** The batch once it has ended. */
  readonly ended: (id: string) => Promise<OpenAI.Batch>;
  readonly results: (batch: OpenAI.Batch) => Promise<{ output: ResultLine[]; errors: ResultLine[] }>;
  readonly anthropic: Anthropic;
}

export interface NativeOptions {
  readonly batches?: StormBatchOptions;
  readonly storm?: StormOptions;
  readonly protocol?: 'openai' | 'anthropic';
  readonly config?: Omit<ConfigInput, 'providers' | 'models'>;
  /** Further providers, and where the model goes after `a/m`. */
  readonly others?: ConfigInput['providers'];
  readonly targets?: readonly string[];
  /** Of an earlier gateway. */
  readonly before?: Pick<NativeWorld, 'storm' | 'clock'>;
  readonly store?: Store;
}

export const prompt = (n: number): string => `prompt ${n}`;

export async function startNativeWorld(t: TestContext, options: NativeOptions = {}): Promise<NativeWorld> {
  const { protocol = 'openai', before, config = {} } = options;
  const clock = before?.clock ?? startClock(t);
  const timing = { tokens: 8 };
  const storm = before?.storm ?? (await startStorm({ timing, ...options.storm, ...(options.batches && { batches: options.batches }) }));
  if (before === undefined) t.after(() => storm.close());
  const store = options.store ?? (await openStore('memory:', { clock, onWarning: () => {} }));
  const a = {
    protocol,
    baseUrl: protocol === 'openai' ? storm.url : storm.url.replace(/\/v1$/, ''),
    apiKey: 'sk-test',
    nativeBatches: true,
  };
  const gateway = await startGateway(
    {
      ...config,
      batch: { native: 'prefer', ...config.batch },
      providers: { a, ...options.others },
      models: { fast: ['a/m', ...(options.targets ?? [])] },
      prices: { 'a/m': { input: 1_000, output: 1_000 } },
    },
    { clock, store, seed: Math.floor(performance.now()) },
  );
  t.after(() => gateway.close());
  const { openai } = gateway;
  clock.isBusy = () => gateway.gateway.queue().inFlight + gateway.gateway.queue().waiting > 0;
  const read = async (id: string | null | undefined): Promise<ResultLine[]> =>
    id == null ? [] : readLines(await (await openai.files.content(id)).text());
  return {
    ...gateway,
    storm,
    clock,
    store,
    anthropic: new Anthropic({ baseURL: gateway.url, apiKey: 'unused', maxRetries: 0 }),
    async create(count, { window = '24h', prompt: promptOf = prompt, body = {} } = {}) {
      const text = Array.from({ length: count }, (_, n) => chatLine(`c${n}`, promptOf(n), { max_tokens: 50, ...body })).join('\n');
      const file = await openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
      return openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: window as '24h' });
    },
    async ended(id) {
      for (;;) {
        const batch = await openai.batches.retrieve(id);
        if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    results: async (batch) => ({ output: await read(batch.output_file_id), errors: await read(batch.error_file_id) }),
  };
}

export async function soon(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const until = performance.now() + 20_000;
  while (!(await isSo())) {
    if (performance.now() > until) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
