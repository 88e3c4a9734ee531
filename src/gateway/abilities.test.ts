import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abilitiesOf, claudeVersion } from './abilities.ts';
import type { ProviderConfig } from './config/index.ts';

const cases: [name: string, family: string | null, version: number][] = [
  ['claude-sonnet-4-5-20250929', 'sonnet', 4.5],
  ['claude-opus-4-20250514', 'opus', 4],
  ['claude-opus-4-1-20250805', 'opus', 4.1],
  ['claude-haiku-4-5', 'haiku', 4.5],
  ['claude-3-7-sonnet-latest', 'sonnet', 3.7],
  ['claude-3-haiku-20240307', 'haiku', 3],
  ['anthropic/claude-sonnet-4.6', 'sonnet', 4.6],
  ['us.anthropic.claude-opus-4-8', 'opus', 4.8],
  ['claude-fable-5', 'fable', 5],
  ['claude-opus-5-1', 'opus', 5.1],
  ['gpt-4o', null, 0],
  ['MiniMax-M2', null, 0],
];
for (const [name, family, version] of cases) {
  test(`${name} is ${family === null ? 'not a Claude model' : `${family} ${version}`}`, () => {
    assert.deepEqual(claudeVersion(name), family === null ? null : { family, version });
  });
}

for (const [model, thinking, least] of [
  ['gemini-2.0-flash', 'none', 0],
  ['gemini-2.5-flash', 'budget', 0],
  ['gemini-2.5-pro', 'budget', 128],
  ['gemini-3.5-flash', 'adaptive', 0],
] as const) {
  test(`reasoning parameter of ${model}: ${thinking}`, () => {
    const abilities = abilitiesOf({ preset: 'gemini', protocol: 'gemini', models: {} } as unknown as ProviderConfig, model);
    assert.deepEqual([abilities.thinking, abilities.thinkingBudgetMin], [thinking, least]);
  });
}
