/** What is under the hand stays there: rows of the request list, and the focus after a change of a target. In a real browser. */
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startStorm, type Storm } from '../../src/storm/index.ts';
import { openPage, skip, startBrowser } from './browser.ts';
import { startWatched, type WatchedGateway } from './world.ts';

describe('pointer, keyboard and focus', { skip }, () => {
  let browser: Browser;
  let north: Storm;

  before(async () => {
    [browser, north] = await Promise.all([startBrowser(), startStorm({ name: 'north', models: ['north'] })]);
  });
  after(async () => {
    await Promise.all([browser.close(), north.close()]);
  });

  async function open(t: TestContext): Promise<{ gateway: WatchedGateway; page: Page }> {
    const gateway = await startWatched({
      providers: { north: { protocol: 'openai', baseUrl: north.url, apiKey: 'north-key-1' } },
      models: { summary: ['north/north'], other: ['north/north'] },
    });
    t.after(() => gateway.close());
    const watched = await openPage(browser, gateway.url);
    t.after(() => watched.close());
    return { gateway, page: watched.page };
  }

  const button = (page: Page, row: number) => page.locator('.requests .link-button').nth(row);
  const models = (page: Page) => page.locator('.requests tbody tr:not(.vacant) td:nth-child(3)').allTextContents();

  test('a filter applies while the pointer rests in the list', async (t) => {
    const { gateway, page } = await open(t);
    await gateway.ask();
    await button(page, 0).hover();
    await page.getByText('paused, 0 newer').waitFor();
    await gateway.ask({ model: 'other' });
    await page.getByText('paused, 1 newer').waitFor();
    assert.deepEqual(await models(page), ['summary']);
    // Without moving the pointer.
    await page.getByLabel('Filter requests').focus();
    await page.keyboard.type('other');
    await page.locator('.requests td', { hasText: 'other' }).waitFor();
    assert.deepEqual(await models(page), ['other']);
    await button(page, 0).focus();
    await page.keyboard.press('Enter');
    const id = gateway.telemetry.timelines.list()[0]!.id;
    await page.locator('.panel h2', { hasText: id }).waitFor();
  });

  test('a row that was opened is the same one after its panel is closed, however many requests have come', async (t) => {
    const { gateway, page } = await open(t);
    await gateway.ask();
    await button(page, 0).focus();
    const id = gateway.telemetry.timelines.list()[0]!.id;
    await page.keyboard.press('Enter');
    await page.locator('.panel h2', { hasText: id }).waitFor();
    for (let i = 0; i < 3; i++) await gateway.ask({ model: 'other' });
    await page.getByText('paused, 3 newer').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.panel').waitFor({ state: 'detached' });
    await page.keyboard.press('Enter');
    await page.locator('.panel h2', { hasText: id }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.panel').waitFor({ state: 'detached' });
    await page.getByLabel('Filter requests').focus();
    await page.getByText('finished since this page was opened').waitFor();
    assert.deepEqual(await models(page), ['other', 'other', 'other', 'summary']);
  });

  test('after Isolate by keyboard the focus is on the button beside it', async (t) => {
    const { page } = await open(t);
    await page.getByRole('button', { name: 'Isolate north/north' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByText('Isolate north/north?').waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Isolate north/north' }).waitFor({ state: 'detached' });
    assert.equal(await page.evaluate('document.activeElement.getAttribute("aria-label")'), 'Reset north/north');
  });
});
