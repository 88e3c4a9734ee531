/** A real browser on the dashboard, noting what must not happen: errors in the console, layout shifts, requests to elsewhere. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

const command = ['/usr/bin/chromium', 'chromium', 'chromium-browser', 'google-chrome'].find((name) =>
  name.startsWith('/') ? existsSync(name) : spawnSync(name, ['--version']).error === undefined,
);
/** Why these tests are skipped; false: they are not. */
export const skip = command === undefined && 'chromium is not installed: apt-get install chromium';

export async function startBrowser(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath: command!, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

export interface WatchedPage {
  readonly page: Page;
  /** Errors in the console or of scripts, and refused requests. */
  readonly errors: string[];
  /** Requests to anywhere but the gateway. */
  readonly foreign: string[];
  /** The sum of all layout shifts that no key and no click has caused. */
  layoutShift(): Promise<number>;
  close(): Promise<void>;
}

export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors: string[] = [];
  const foreign: string[] = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) foreign.push(request.url());
  });
  await page.addInitScript(watchShifts);
  await page.addInitScript(asInWebKit);
  await page.goto(url);
  return { page, errors, foreign, layoutShift: () => page.evaluate('window.layoutShift'), close: () => context.close() };
}

/** Runs in the page. As a text: the types of a page are not those of a test. */
const watchShifts = `
  window.layoutShift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
`;

/** Also in the page: streams have no async iterator in Safari. */
const asInWebKit = `
  delete ReadableStream.prototype[Symbol.asyncIterator];
  delete ReadableStream.prototype.values;
`;
