/** Azure as a target: both styles of its addresses, its keys and tokens, its errors, over real sockets against Storm's face of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI, { AzureOpenAI } from 'openai';
import type { StormOptions } from '../../src/storm/index.ts';
import { startCloudWorld } from './cloud-world.ts';
import type { CloudWorld } from './cloud-world.ts';
import { askBy, CALLERS } from './dialect-callers.ts';

const TEXT = 'größer 港口 🌊 calm.';
const messages = [{ role: 'user' as const, content: `echo ${TEXT}` }];

const STYLES = {
  deployments: { preset: 'azure', apiKey: 'azure-key-1', apiVersion: '2024-10-21' },
  v1: { preset: 'azure', apiKey: 'azure-key-1' },
} as const;
type Style = keyof typeof STYLES;

function start(t: TestContext, style: Style, storm: StormOptions = {}): Promise<CloudWorld> {
  return startCloudWorld(t, {
    storms: { a: { apiKeys: ['azure-key-1'], ...storm }, b: {} },
    providers: { a: STYLES[style], b: { protocol: 'anthropic', apiKey: 'anthropic-key' } },
    models: { fast: ['a/my-deployment', 'b/claude-sonnet-4-5'] },
  });
}

const PATHS: Readonly<Record<Style, string>> = {
  deployments: '/openai/deployments/{deployment}/chat/completions',
  v1: '/openai/v1/chat/completions',
};

for (const style of ['deployments', 'v1'] as const) {
  describe(`Azure in the ${style} style`, () => {
    for (const caller of CALLERS) {
      for (const stream of [false, true]) {
        it(`serves the ${caller} SDK, ${stream ? 'streamed' : 'non-streaming'}`, async (t) => {
          const world = await start(t, style);
          const heard = await askBy(caller, world.url, fetch, { stream, body: { messages } });
          assert.equal(heard.error, null, heard.raw);
          assert.equal(heard.text, TEXT);
          assert.deepEqual(world.calls(), [1, 0]);
          const { byPath, byModel } = world.storms['a']!.stats();
          assert.deepEqual([byPath[PATHS[style]], byModel['my-deployment']], [1, 1]);
          assert.equal(heard.headers.get('x-breakwater-target'), 'a/my-deployment');
          assert.match(heard.headers.get('x-upstream-request-id') ?? '', /^req_storm/);
        });
      }
    }
  });
}
