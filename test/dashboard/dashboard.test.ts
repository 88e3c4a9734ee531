/** The dashboard as an operator has it: a real browser, a real gateway, simulated providers. One browser for all stories. */
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import axe, { type AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startStorm, type Storm, type StormOptions } from '../../src/storm/index.ts';
import { openPage, skip, startBrowser, type WatchedPage } from './browser.ts';
import { askMany, startWatched, type WatchedGateway } from './world.ts';

const quick = { firstTokenMs: { p50: 5, p99: 20 }, tokensPerSecond: 4_000 };
/** No element that stays has moved; a pixel of a glyph is not counted. */
const shiftMax = 0.01;

describe('dashboard', { skip }, () => {
  let browser: Browser;
  let north: Storm;
  let south: Storm;

  before(async () => {
    [browser, north, south] = await Promise.all([startBrowser(), storm('north'), storm('south')]);
  });
  after(async () => {
    await Promise.all([browser.close(), north.close(), south.close()]);
  });

  function storm(model: string, options: StormOptions = {}): Promise<Storm> {
    return startStorm({ name: model, models: [model], timing: quick, ...options });
  }

  function config(change: ConfigInput = {}): ConfigInput {
    return {
      providers: {
        north: { protocol: 'openai', baseUrl: north.url, apiKey: 'north-key-1' },
        south: { protocol: 'openai', baseUrl: south.url, apiKey: 'south-key-1' },
      },
      models: { summary: ['north/north', 'south/south'] },
      ...change,
    };
  }

  async function open(
    t: TestContext,
    change: ConfigInput = {},
    options: BrowserContextOptions = {},
  ): Promise<{ gateway: WatchedGateway; watched: WatchedPage; page: Page }> {
    const gateway = await startWatched(config(change));
    t.after(() => gateway.close());
    const watched = await openPage(browser, gateway.url, options);
    t.after(() => watched.close());
    return { gateway, watched, page: watched.page };
  }

  async function assertClean(watched: WatchedPage): Promise<void> {
    const { errors, foreign } = watched;
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
    const shift = await watched.layoutShift();
    assert.ok(shift < shiftMax, `the layout shifted by ${shift}`);
  }

  const row = (page: Page, target: string) => page.locator('.targets tbody tr', { has: page.getByRole('rowheader', { name: target }) });
  const headline = (page: Page, text: RegExp) => page.locator('.headline').filter({ hasText: text }).waitFor();

  test('a quiet gateway says so', async (t) => {
    const { watched, page } = await open(t);
    await headline(page, /Quiet: no requests in the last minute\./);
    await row(page, 'north/north').getByText('idle').waitFor();
    await page.getByText('Every request starts at once.').waitFor();
    await assertClean(watched);
  });

  test('one failing provider under load is named, with how it fails and what callers notice', async (t) => {
    north.setFaults([{ kind: '503' }]);
    t.after(() => north.setFaults([]));
    const { gateway, watched, page } = await open(t);
    await headline(page, /Quiet/);
    const statuses = await Promise.all(Array.from({ length: 60 }, () => gateway.ask()));
    assert.ok(statuses.every((status) => status === 200));
    await headline(page, /north\/north is down: \d+ of \d+ calls failed, all with 503 overloaded; next probe in/);
    await page.getByText('Callers see no errors').waitFor();
    await row(page, 'north/north').getByText('breaker open').waitFor();
    await row(page, 'south/south').getByText('ok', { exact: true }).waitFor();
    await page.locator('.notices').getByText('north/north: circuit breaker opened').first().waitFor();
    await page.getByRole('button', { name: 'trouble' }).click();
    await page.locator('.requests').getByText('fallback').first().waitFor();
    await assertClean(watched);
  });

  test('a request tells its story beside its waterfall, the words being those of the command', async (t) => {
    north.setFaults([{ kind: '503' }]);
    t.after(() => north.setFaults([]));
    const { gateway, page, watched } = await open(t);
    await gateway.ask();
    await page.locator('.requests .link-button').first().focus();
    await page.keyboard.press('Enter');
    const panel = page.locator('.panel');
    await panel.getByText(/attempt 1, north\/north: failed after .* 503 overloaded/).waitFor();
    await panel.getByText(/attempt 2, south\/south: succeeded/).waitFor();
    const id = gateway.telemetry.timelines.list()[0]!.id;
    const told = gateway.telemetry.timelines.get(id)!.story.steps.map(({ text }) => text);
    assert.deepEqual(await panel.locator('.waterfall .text').allTextContents(), told);
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'detached' });
    await assertClean(watched);
  });

  test('a full queue is shown by class, with what it waits for', async (t) => {
    const slow = await storm('south', { timing: { firstTokenMs: { p50: 60_000, p99: 60_000 }, tokensPerSecond: 10 } });
    const leaving = new AbortController();
    t.after(() => leaving.abort());
    const { gateway, watched, page } = await open(t, {
      providers: { south: { protocol: 'openai', baseUrl: slow.url, apiKey: 'south-key-1', limits: { concurrency: 2 } } },
      models: { summary: ['south/south'] },
    });
    t.after(() => slow.close());
    const priorities = ['high', 'normal', 'low'];
    const asked = Array.from({ length: 40 }, (_, i) =>
      gateway.ask({}, { 'x-breakwater-priority': priorities[i % 3]! }, leaving.signal).catch(() => 0),
    );
    await headline(page, /south\/south is at its limit \(concurrency\)\./);
    await page
      .locator('.impact')
      .getByText(/wait, the longest for/)
      .waitFor();
    await page.locator('.groups').getByText('south/south: concurrency limit until a request ends').first().waitFor();
    const waiting = await page.locator('.classes .number').allTextContents();
    assert.equal(
      waiting.reduce((sum, text) => sum + Number(text), 0),
      38,
    );
    await assertClean(watched);
    leaving.abort();
    await Promise.all(asked);
  });

  test('of many targets the idle ones are folded, a long name hides no model, and a narrow phone needs no sideways scrolling', async (t) => {
    const long = 'the-account-of-the-research-department-in-the-region-eu-central';
    const names = [...Array.from({ length: 14 }, (_, index) => `provider-${index}`), long];
    const provider = (_: unknown, index: number) => ({ protocol: 'openai' as const, baseUrl: north.url, apiKey: `key-${index}-0123` });
    const { gateway, page, watched } = await open(
      t,
      {
        providers: Object.fromEntries(names.map((name, index) => [name, provider(name, index)])),
        models: { summary: [`${long}/north`], other: names.slice(0, 14).map((name) => `${name}/north`) },
      },
      { viewport: { width: 360, height: 740 } },
    );
    assert.equal(await gateway.ask(), 200);
    const name = row(page, `${long}/north`).locator('.name span').last();
    await name.waitFor();
    assert.equal(await name.textContent(), 'north');
    const missing = `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.targets .name span:last-child'))`;
    assert.equal(await page.evaluate(missing), 0, 'the model is shown whole');
    assert.equal(await page.locator('.targets tbody tr').count(), 1);
    await page.getByRole('button', { name: 'Show 14 idle targets' }).click();
    assert.equal(await page.locator('.targets tbody tr').count(), 15);
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360);
    assert.deepEqual(watched.errors, []);
  });

  test('a target is isolated and reset by keyboard alone', async (t) => {
    const { gateway, watched, page } = await open(t);
    await row(page, 'north/north').waitFor();
    await press(page, 'Isolate north/north');
    await page.getByRole('dialog').getByText('Isolate north/north?').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    assert.equal(gateway.gateway.targets()[0]!.breaker.state, 'closed');
    await press(page, 'Isolate north/north');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Enter');
    await row(page, 'north/north').getByText('isolated').waitFor();
    await headline(page, /north\/north is isolated by an operator\./);
    assert.equal(await gateway.ask(), 200);
    await row(page, 'south/south').getByText('100 %').waitFor();
    await press(page, 'Reset north/north');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Enter');
    await row(page, 'north/north').getByText('idle').waitFor();
    await assertClean(watched);
  });

  /** Goes by Tab to the button of this name, and presses it. */
  async function press(page: Page, name: string): Promise<void> {
    const button = page.getByRole('button', { name });
    for (let i = 0; i < 40; i++) {
      if (await button.evaluate((element) => element === element.ownerDocument.activeElement)) return page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
    }
    assert.fail(`${name} is not reached by keyboard`);
  }

  test('a reload of the configuration, and a new process, change the page without a reload of it', async (t) => {
    const limited = (concurrency: number): ConfigInput => {
      const { providers, ...rest } = config();
      return {
        ...rest,
        providers: { ...providers, north: { ...providers!['north'], limits: { concurrency } } },
      };
    };
    const { gateway, watched, page } = await open(t, limited(5));
    await row(page, 'north/north').getByText('0 / 5').waitFor();
    await gateway.reload(limited(7));
    await page.locator('.notices').getByText('configuration reloaded').waitFor();
    await row(page, 'north/north').getByText('0 / 7').waitFor();
    const { port } = gateway;
    await gateway.close();
    await page.getByText(/connection lost/).waitFor();
    const again = await startWatched(config({ server: { port } }));
    t.after(() => again.close());
    await again.ask();
    await page.getByText(/connection lost/).waitFor({ state: 'detached' });
    await row(page, 'north/north').getByText('100 %').waitFor();
    assert.deepEqual(watched.foreign, []);
    assert.ok((await watched.layoutShift()) < shiftMax);
    // The browser itself reports each attempt to connect while nothing listens.
    assert.deepEqual(
      watched.errors.filter((text) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(text)),
      [],
    );
  });

  test('ten thousand requests are counted, and the page stays small', async (t) => {
    const { gateway, watched, page } = await open(t, { policy: { cache: { enabled: true } } });
    await row(page, 'north/north').waitFor();
    const nodes = () => page.evaluate<number>('document.getElementsByTagName("*").length');
    // Most are answered from the cache: it is the page that is tried here.
    await askMany(gateway.port, 1_000, { 'x-breakwater-cache': 'refresh' });
    await askMany(gateway.port, 9_000);
    await page.getByText('10k finished since this page was opened').waitFor();
    assert.ok((await nodes()) < 1_200, `${await nodes()} elements`);
    await assertClean(watched);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`the page passes the accessibility checks (${colorScheme})`, async (t) => {
      north.setFaults([{ kind: '503' }]);
      t.after(() => north.setFaults([]));
      const { gateway, page } = await open(t, {}, { colorScheme });
      for (let i = 0; i < 20; i++) await gateway.ask();
      await headline(page, /north\/north is down/);
      await page.locator('.requests .link-button').first().click();
      await page.locator('.panel .waterfall').waitFor();
      assert.deepEqual(await violations(page), []);
    });
  }

  test("nothing is wider than the screen, down to a phone's", async (t) => {
    north.setFaults([{ kind: '503' }]);
    t.after(() => north.setFaults([]));
    const { gateway, watched, page } = await open(t, {}, { viewport: { width: 1_100, height: 844 }, hasTouch: true });
    for (let i = 0; i < 20; i++) await gateway.ask();
    await headline(page, /north\/north is down/);
    for (const width of [1_100, 800, 390]) {
      await page.setViewportSize({ width, height: 844 });
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
    }
    assert.deepEqual(await violations(page), []);
    await assertClean(watched);
  });

  test('the admin key is asked for, refused, taken, and kept nowhere', async (t) => {
    const { watched, page } = await open(t, { server: { adminKey: 'operator-key-1' } });
    const field = page.getByLabel('Admin key');
    await field.fill('operator-key-2');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('wrong admin key').waitFor();
    assert.deepEqual(await violations(page), []);
    await field.fill('operator-key-1');
    await page.keyboard.press('Enter');
    await headline(page, /Quiet/);
    assert.doesNotMatch(
      String(await page.evaluate('JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])')),
      /operator-key/,
    );
    await page.reload();
    await field.waitFor();
    // The browser itself reports each 401.
    assert.deepEqual(
      watched.errors.filter((text) => !text.includes('401')),
      [],
    );
  });

  test('a changed admin key is asked for again', async (t) => {
    const { gateway, page } = await open(t, { server: { adminKey: 'operator-key-1' } });
    const field = page.getByLabel('Admin key');
    await field.fill('operator-key-1');
    await page.keyboard.press('Enter');
    await headline(page, /Quiet/);
    await gateway.reload(config({ server: { adminKey: 'operator-key-2' } }));
    await page.getByRole('alert').getByText('wrong admin key').waitFor();
    await field.fill('operator-key-2');
    await page.keyboard.press('Enter');
    await headline(page, /Quiet/);
  });

  /** What axe-core finds, as its rule and the elements. */
  async function violations(page: Page): Promise<string[]> {
    await page.evaluate(axe.source);
    const found = await page.evaluate<AxeResults>('axe.run()');
    return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
  }
});
