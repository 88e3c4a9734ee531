/**
 * Makes the pictures of docs/dashboard.md: `node test/dashboard/screenshots.ts [NAME…]`, after `npm run build`. Each is looked at before it is
 * committed.
 */
import { fileURLToPath } from 'node:url';
import { setTimeout } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startStorm, type StormOptions } from '../../src/storm/index.ts';
import { openPage, startBrowser } from './browser.ts';
import { startWatched, type WatchedGateway } from './world.ts';

const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const articles = 300;

interface Scene {
  readonly north: StormOptions;
  readonly south: StormOptions;
  readonly limits?: object;
  readonly deadline?: string;
  /** Requests at once. */
  readonly callers: number;
  readonly count: number;
  /** When the picture is taken, in milliseconds after the first request. */
  readonly afterMs: number;
  readonly page: { readonly colorScheme: 'light' | 'dark'; readonly viewport: { readonly width: number; readonly height: number } };
  readonly before?: (page: Page, gateway: WatchedGateway) => Promise<void>;
}

const steady = { firstTokenMs: { p50: 180, p99: 900 }, tokensPerSecond: 160, jitter: 0.2 };
const slow = { firstTokenMs: { p50: 400, p99: 2_500 }, tokensPerSecond: 90, jitter: 0.2 };
const wide = { width: 1440, height: 990 };
const flaky: StormOptions = {
  timing: steady,
  faults: [
    { kind: '503', probability: 0.5 },
    { kind: 'reset', probability: 0.12 },
  ],
};

const scenes: Readonly<Record<string, Scene>> = {
  outage: {
    north: flaky,
    south: { timing: slow, faults: [{ kind: '429-retry', probability: 0.05, retryAfter: 1 }] },
    callers: 10,
    count: articles,
    afterMs: 30_000,
    page: { colorScheme: 'light', viewport: wide },
  },
  quiet: {
    north: { timing: steady },
    south: { timing: steady },
    callers: 3,
    count: articles,
    afterMs: 26_000,
    page: { colorScheme: 'dark', viewport: wide },
  },
  queue: {
    north: { timing: slow, limits: { requestsPerMinute: 60 } },
    south: { timing: slow },
    limits: { concurrency: 4 },
    callers: 90,
    count: 2_000,
    afterMs: 20_000,
    page: { colorScheme: 'light', viewport: wide },
  },
  request: {
    north: flaky,
    south: { timing: slow },
    callers: 8,
    count: articles,
    afterMs: 6_000,
    page: { colorScheme: 'dark', viewport: wide },
    before: async (page, gateway) => {
      const repeated = () =>
        gateway.telemetry.timelines.list({ limit: 200 }).find(({ attempts, outcome }) => attempts > 1 && outcome === 'success');
      await page.getByRole('button', { name: 'trouble' }).click();
      await page.getByLabel('Filter requests').fill(repeated()!.id);
      await page.locator('.requests .link-button').first().click();
      await page.locator('.panel .waterfall').waitFor();
    },
  },
  phone: {
    north: flaky,
    south: { timing: slow },
    callers: 10,
    count: articles,
    afterMs: 20_000,
    page: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
  },
};

const browser = await startBrowser();
const wanted = process.argv.slice(2);
for (const [name, scene] of Object.entries(scenes)) if (wanted.length === 0 || wanted.includes(name)) await shoot(browser, name, scene);
await browser.close();

async function shoot(opened: Browser, name: string, scene: Scene): Promise<void> {
  const north = await startStorm({ name: 'north', models: ['writer-large'], seed: 7, ...scene.north });
  const south = await startStorm({ name: 'south', models: ['writer-small'], seed: 8, ...scene.south });
  const gateway = await startWatched(configOf(north.url, south.url, scene));
  const watched = await openPage(opened, gateway.url, scene.page);
  const { page } = watched;
  await page.getByLabel('Admin key').fill('operator-key-1');
  await page.keyboard.press('Enter');
  const stopping = new AbortController();
  const asked = askAll(gateway, scene, stopping.signal);
  await setTimeout(scene.afterMs);
  await scene.before?.(page, gateway);
  await setTimeout(1_200);
  await page.screenshot({ path: `${folder}${name}.png` });
  process.stdout.write(`${name}\n`);
  stopping.abort();
  await asked;
  await watched.close();
  await gateway.close();
  await north.close();
  await south.close();
}

function configOf(north: string, south: string, { limits }: Scene): ConfigInput {
  return {
    providers: {
      north: { protocol: 'openai', baseUrl: north, apiKey: 'north-key-1' },
      south: { protocol: 'openai', baseUrl: south, apiKey: 'south-key-1', ...(limits !== undefined && { limits }) },
    },
    models: { summary: ['north/writer-large', 'south/writer-small'] },
    prices: { 'north/writer-large': { input: 3, output: 15 }, 'south/writer-small': { input: 0.4, output: 1.6 } },
    clients: [
      { name: 'newsletter', key: 'newsletter-key-1', limits: { requestsPerMinute: 3_000 }, budget: { usd: 5, per: 'day' } },
      { name: 'archive', key: 'archive-key-1', priority: 'low' },
    ],
    server: { adminKey: 'operator-key-1' },
  };
}

async function askAll(gateway: WatchedGateway, { callers, count }: Scene, signal: AbortSignal): Promise<void> {
  let left = count;
  const caller = async (index: number): Promise<void> => {
    const key = index % 4 === 3 ? 'archive-key-1' : 'newsletter-key-1';
    while (left-- > 0 && !signal.aborted)
      await gateway.ask({ stream: true, max_tokens: 60 }, { authorization: `Bearer ${key}` }, signal).catch(() => 0);
  };
  await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)));
}
