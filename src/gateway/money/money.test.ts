import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventBus } from '../../core/events.ts';
import { createMemoryStore } from '../../store/memory/memory-store.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { parseConfig, type Config } from '../config/index.ts';
import { knownModel } from '../known-models.ts';
import { Money } from './money.ts';

function configOf(...models: string[]): Config {
  const targets = models.map((model) => `openai/${model}`);
  const parsed = parseConfig({ providers: { openai: { apiKey: 'k' } }, models: { fast: targets } }, { source: 'library' });
  assert.ok(parsed.ok);
  return parsed.config;
}

test('a reload warns of the models that it adds and that end soon, and of no others again', async () => {
  const { endsOn } = knownModel('openai', 'gpt-5.1')!;
  const clock = createManualClock({ epochMs: Date.parse(endsOn!) });
  const warnings: string[] = [];
  let config = configOf('gpt-5.1');
  const money = new Money({
    store: createMemoryStore({ clock }),
    clock,
    events: new EventBus((error) => assert.fail(String(error))),
    config: () => config,
    warn: (message) => void warnings.push(message),
    mask: (text) => text,
    fleet: null,
  });
  await money.start();
  await money.reloaded();
  assert.equal(warnings.length, 1);
  config = configOf('gpt-5.1', 'gpt-4-0613');
  await money.reloaded();
  assert.equal(warnings.length, 2);
  assert.match(warnings[1]!, /openai\/gpt-4-0613 end/);
  money.stop();
});
